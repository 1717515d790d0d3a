#!/usr/bin/env bash
# check.sh [--json]: looks at this machine, the settings, every camera and the bucket, whether
# anything runs or not, for at most 15 s. Exit code 1 where something is wrong (✗).
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

main() {
  local version
  version=$(node -p process.versions.node 2>/dev/null) || version=
  is_new_node "$version" || tell_of_node "${version:-there is none}" "$@"
  use_known_installation
  # What is missing is told; to install it is the business of the others.
  [[ -e $project/dist/cli/check.js ]] || "$project/scripts/setup.sh" --quiet >&2
  cli check "$@"
}

# The one line that needs no Node.js.
tell_of_node() {
  local text="$1, and $oldest_node or later is needed: run ./scripts/setup.sh, which installs it or says how"
  if [[ " ${*:2} " == *' --json '* ]]; then
    say "{\"faults\": 1, \"findings\": [{\"is\": \"fault\", \"subject\": \"Node.js\", \"text\": \"$text\"}]}"
  else
    say "✗ Node.js  $text"
  fi
  exit 1
}

main "$@"
