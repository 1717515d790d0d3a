#!/usr/bin/env bash
# find.sh --at "2025-01-25 15:30" [--until 15:45] [--camera Front]: which files show that time, where
# they are on this machine and in S3, and a URL that plays each. --download and --clip fetch them.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

use_known_installation
[[ -e $project/dist/cli/find.js ]] || "$project/scripts/setup.sh" --quiet >&2
cli find "$@"
