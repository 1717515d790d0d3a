#!/usr/bin/env bash
# test.sh [--faults] [--ffmpeg SUITE] [--node VERSION]: installs what is missing, then runs every check
# and every test, or with --faults the long tests: minutes of silence, thousands of files, kills at
# every step. With --ffmpeg it runs the tests on the FFmpeg of another Debian (trixie, forky), with
# --node on another Node.js (20.19, 22, 24); both are kept in ~/.cache/camera-to-s3 and leave the
# system's alone. Ends with one line that counts: each check is one, and each test is one.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
cd "$project"

passed=0
failed=0
output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
cache=${XDG_CACHE_HOME:-$HOME/.cache}/camera-to-s3

main() {
  local kind=quick suite='' version=''
  while (($# > 0)); do
    case $1 in
      --faults) kind=faults ;;
      --ffmpeg)
        suite=${2:-}
        [[ -n $suite ]] || usage
        shift
        ;;
      --node)
        version=${2:-}
        [[ -n $version ]] || usage
        shift
        ;;
      *) usage ;;
    esac
    shift || usage
  done
  "$project/scripts/setup.sh" --test
  [[ -z $suite ]] || use_ffmpeg "$suite"
  [[ -z $version ]] || use_node "$version"
  if [[ $kind == faults ]]; then
    run_tests .faults.ts 20 spec 2
  else
    [[ -n $suite$version ]] || check_sources
    run_tests .test.ts 10 dot 3
  fi
  say "$passed passed, $failed failed"
  ((failed == 0))
}

usage() {
  complain "usage: $0 [--faults] [--ffmpeg trixie|forky] [--node 20.19|22|24]"
  exit 64
}

check_sources() {
  check format node_modules/.bin/prettier --check --log-level warn .
  check lint node_modules/.bin/oxlint --type-aware --deny-warnings
  check types node_modules/.bin/tsc --noEmit
  check 'dead code' node_modules/.bin/knip
  check shellcheck shellcheck -x scripts/*.sh
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

# Puts the FFmpeg of another Debian first in PATH. No chroot: its programs run by its own loader, so
# that sockets, /proc and lsof are the usual ones. One that is older than a week is fetched anew.
use_ffmpeg() {
  local suite=$1 root=$cache/ffmpeg-$1 program libraries version
  [[ $suite =~ ^[a-z]+$ ]] || usage
  [[ -z $(find "$root" -maxdepth 0 -mtime +7 2>/dev/null) ]] || rm -rf "$root"
  if [[ ! -d $root ]]; then
    say "Fetching FFmpeg of Debian $suite into $root (mmdebstrap) …"
    command -v mmdebstrap >/dev/null ||
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap >&2 ||
      skip "mmdebstrap can't be installed"
    rm -rf "$root.new" && mkdir -p "$cache"
    mmdebstrap --quiet --variant=minbase --include=ca-certificates,ffmpeg \
      --aptopt='Acquire::Check-Valid-Until "false"' "$suite" "$root.new" \
      "deb http://deb.debian.org/debian $suite main" >&2 || skip "Debian $suite can't be fetched (it takes root, and a mirror)"
    mv "$root.new" "$root" && touch "$root"
  fi
  libraries=$(dirname "$(find "$root/usr/lib" -name 'libavcodec.so*' | head -n 1)")
  mkdir "$output/bin"
  for program in ffmpeg ffprobe; do
    printf '#!/bin/sh\nexec "%s" --argv0 %s --library-path "%s" "%s" "$@"\n' \
      "$(find -L "$root"/lib64 "$root"/lib -maxdepth 1 -name 'ld-linux*' | head -n 1)" "$program" \
      "$libraries:$libraries/pulseaudio:$libraries/blas:$libraries/lapack" "$root/usr/bin/$program" \
      >"$output/bin/$program"
    chmod +x "$output/bin/$program"
  done
  export PATH=$output/bin:$PATH
  version=$(ffmpeg -version 2>&1 | head -n 1 | cut -d ' ' -f 1-3)
  [[ $version == ffmpeg* ]] || skip "FFmpeg of Debian $suite can't be run ($version)"
  say "On $version"
}

# Puts another Node.js first in PATH: the binary that the npm package `node` has.
use_node() {
  local version=$1 folder=$cache/node-$1
  [[ $version =~ ^[0-9.]+$ ]] || usage
  if [[ ! -x $folder/node_modules/node/bin/node ]]; then
    say "Fetching Node.js $version into $folder (npm) …"
    mkdir -p "$folder"
    npm install --prefix "$folder" --no-audit --no-fund --loglevel=error "node@$version" >&2 ||
      skip "Node.js $version can't be fetched"
  fi
  export PATH=$folder/node_modules/node/bin:$PATH
  say "On Node.js $(node --version)"
}

# What this machine can't do is no failure of the project, but in CI it would hide one.
skip() {
  say "skipped: $*"
  [[ -z ${CI:-} ]] || exit 1
  exit 0
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
