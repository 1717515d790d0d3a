#!/usr/bin/env bash
# restart.sh: a clean restart. Stops everything, deletes logs older than LOG_RETENTION_DAYS,
# temporary files and empty ones, and starts again. Partial recordings stay: the uploader ships
# them. A configuration that can't work is refused before anything is stopped.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

use_installation "${ENV_FILE:-$project/.env}"
if [[ -e $env_file ]]; then
  "$project/scripts/setup.sh" --quiet
  cli check-config >/dev/null || {
    code=$?
    complain "Nothing was stopped. Mend $env_file, then run this again."
    exit "$code"
  }
  "$project/scripts/stop.sh"
  cli clean-up
fi
exec "$project/scripts/start.sh"
