#!/usr/bin/env bash
# status.sh [--watch] [--json]: how the cameras, the recorder and the uploader are; --watch shows it
# anew each second. Exit code 0: all is well, 1: degraded, 2: down. Without ENV_FILE it tells of the
# demo too, while that runs.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

for option in "$@"; do
  [[ $option == --watch || $option == --json || $option == --help ]] && continue
  complain "usage: $0 [--watch] [--json]"
  exit 64
done
if [[ ! -e $project/dist/cli/status.js ]]; then
  complain "DOWN: nothing was ever started here. Begin with ./scripts/start.sh"
  exit 2
fi
list=$(all_installations) || exit 2
mapfile -t installations <<<"$list"
cli status "$@" "${installations[@]}"
