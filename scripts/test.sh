#!/usr/bin/env bash
# test.sh [--faults]: installs what is missing, then runs every check and every test, or with --faults
# the long tests: minutes of silence, thousands of files, kills at every step. Ends with one line that
# counts them: each check is one, and each test is one.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
cd "$project"

passed=0
failed=0
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT

main() {
  case "$*" in
    '') quick ;;
    --faults) faults ;;
    *)
      complain "usage: $0 [--faults]"
      exit 64
      ;;
  esac
  say "$passed passed, $failed failed"
  ((failed == 0))
}

quick() {
  "$project/scripts/setup.sh" --test
  check format node_modules/.bin/prettier --check --log-level warn .
  check lint node_modules/.bin/oxlint --type-aware --deny-warnings
  check types node_modules/.bin/tsc --noEmit
  check 'dead code' node_modules/.bin/knip
  check shellcheck shellcheck -x scripts/*.sh
  run_tests .test.ts 10 dot 3
}

faults() {
  "$project/scripts/setup.sh" --test
  run_tests .faults.ts 20 spec 2
}

check() {
  local name=$1
  shift
  if "$@" >"$output/check" 2>&1; then
    say "ok      $name"
    passed=$((passed + 1))
  else
    say "FAILED  $name"
    cat "$output/check"
    failed=$((failed + 1))
  fi
}

# run_tests ENDING MINUTES dot|spec FILES: the test files so named, so many at once, of which none may
# take longer. While they run, a dot for each test, or its name and what it measured; then each failure
# in full.
run_tests() {
  local tests bad code=0
  mapfile -t tests < <(find test -name "*$1" | sort)
  unset ENV_FILE
  node --import tsx --test --test-concurrency="$4" --test-timeout=$(($2 * 60000)) \
    --test-reporter="$3" --test-reporter-destination=stdout \
    --test-reporter=spec --test-reporter-destination="$output/tests" \
    "${tests[@]}" || code=$?
  bad=$(($(count fail) + $(count cancelled)))
  # A run that broke off counts nothing.
  if ((code != 0 && bad == 0)); then bad=1; fi
  if ((bad > 0)); then sed -n '/^✖ failing tests:/,$p' "$output/tests"; fi
  say "$(count skipped) skipped, $(count todo) to do"
  passed=$((passed + $(count pass)))
  failed=$((failed + bad))
}

# A number from the summary at the end of the spec reporter's output.
count() { sed -n "s/^ℹ $1 //p" "$output/tests" | tail -n 1 | grep . || say 0; }

main "$@"
