#!/usr/bin/env bash
# check.sh [--json]: looks at this machine, the settings, every camera and the bucket, whether
# anything runs or not, for at most 15 s. Exit code 1 where something is wrong (✗).
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

use_known_installation
[[ -e $env_file ]] || explain_env_file
# What is missing is told; to install it is the business of the others.
[[ -e $project/dist/cli/check.js ]] || "$project/scripts/setup.sh" --quiet >&2
cli check "$@"
