#!/usr/bin/env bash
# coverage.sh [--day 2025-01-25] [--days 7] [--camera Front] [--verify] [--json]: what of each camera's
# days is recorded and in S3, and what is missing and why. --verify asks S3. Exit code 1 where
# something is missing.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

use_known_installation
[[ -e $project/dist/cli/coverage.js ]] || "$project/scripts/setup.sh" --quiet >&2
cli coverage "$@"
