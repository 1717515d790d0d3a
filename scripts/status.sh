#!/usr/bin/env bash
# status.sh [--json]: how the cameras, the recorder and the uploader are. Exit code 0: all is well,
# 1: degraded, 2: down. Without ENV_FILE it tells of the demo too, while that runs.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

if (($# > 1)) || [[ ${1:---json} != --json ]]; then
  complain "usage: $0 [--json]"
  exit 64
fi
if [[ ! -e $project/dist/cli/status.js ]]; then
  complain "DOWN: nothing was ever started here. Begin with ./scripts/start.sh"
  exit 2
fi
mapfile -t installations < <(all_installations)
cli status "$@" "${installations[@]}"
