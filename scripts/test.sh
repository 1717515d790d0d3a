#!/usr/bin/env bash
# test.sh: installs what is missing, then runs every check and every test, and ends with one line
# that counts them: each check is one, and each test is one.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
cd "$project"

passed=0
failed=0
code=0 # of the last run of tests
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT

main() {
  "$project/scripts/setup.sh" --test
  check format node_modules/.bin/prettier --check --log-level warn .
  check lint node_modules/.bin/oxlint --type-aware --deny-warnings
  check types node_modules/.bin/tsc --noEmit
  check 'dead code' node_modules/.bin/knip
  check shellcheck shellcheck -x scripts/*.sh
  run_tests
  say "$passed passed, $failed failed"
  ((failed == 0))
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

# Dots while they run; then each failure in full. A file that fails beside others, on a machine that
# is busy, is run once more, alone: what counts is how that goes, and it is said.
run_tests() {
  local tests again bad first=0
  mapfile -t tests < <(find test -name '*.test.ts' | sort)
  unset ENV_FILE
  run_files 2 "${tests[@]}"
  passed=$((passed + $(count pass)))
  bad=$(failures)
  if ((bad > 0)); then
    sed -n '/^✖ failing tests:/,$p' "$output/tests"
    mapfile -t again < <(sed -n 's/^test at \([^:]*\):.*/\1/p' "$output/tests" | sort -u)
    if ((${#again[@]} > 0)); then
      first=$bad
      say "Once more, alone: ${again[*]}"
      run_files 1 "${again[@]}"
      bad=$(failures)
      if ((bad > 0)); then sed -n '/^✖ failing tests:/,$p' "$output/tests"; fi
      if ((first > bad)); then passed=$((passed + first - bad)); fi
    fi
  fi
  failed=$((failed + bad))
  say "$(count skipped) skipped, $(count todo) to do; $first failed at first"
}

# run_files CONCURRENCY FILE...
run_files() {
  local concurrency=$1
  shift
  code=0
  node --import tsx --test --test-concurrency="$concurrency" \
    --test-reporter=dot --test-reporter-destination=stdout \
    --test-reporter=spec --test-reporter-destination="$output/tests" \
    "$@" || code=$?
}

# How many failed; a run that broke off counts nothing.
failures() {
  local bad=$(($(count fail) + $(count cancelled)))
  if ((code != 0 && bad == 0)); then bad=1; fi
  say "$bad"
}

# A number from the summary at the end of the spec reporter's output.
count() { sed -n "s/^ℹ $1 //p" "$output/tests" | tail -n 1 | grep . || say 0; }

main
