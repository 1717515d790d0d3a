#!/usr/bin/env bash
# start.sh [--demo]: starts the recorder and the uploader, each with its keep-alive, and says how
# they are. What runs already is left alone, what is missing of a pair is added. --demo does so for
# two emulated cameras and an S3 server on this machine, apart from everything else.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

daemons=(recorder uploader)

main() {
  demo=
  case ${1:-} in
    --demo) demo=yes ;;
    '') ;;
    *)
      complain "usage: $0 [--demo]"
      exit 64
      ;;
  esac
  if [[ -n $demo ]]; then
    mkdir -p "${demo_env%/*}"
    ENV_FILE=$demo_env
  fi
  use_installation "${ENV_FILE:-$project/.env}"
  if [[ $env_file == "$demo_env" ]]; then demo=yes; fi
  [[ -n $demo || -e $env_file ]] || explain_env_file
  if all_running; then
    say "Already running."
    show_processes
    if [[ -n $demo ]]; then show_upload; fi
    say
    show_edit
    exit 0
  fi
  "$project/scripts/setup.sh" --quiet
  # Daemons of an earlier demo know its addresses.
  if [[ -n $demo ]] && is_gone demo && anything_running; then "$project/scripts/stop.sh"; fi
  start_what_is_missing
  local code=0
  cli wait-started || code=$?
  say
  show_processes
  if [[ -n $demo && $code == 0 ]]; then show_upload; fi
  show_next
  exit "$code"
}

# Two of us at the same moment start one pair: the second waits, and finds everything there.
start_what_is_missing() {
  local daemon
  mkdir -p "$run"
  exec 8>>"$run/start.lock"
  flock -w 60 8 || give_up "another start.sh or stop.sh has been at work for a minute"
  if [[ -n $demo ]]; then start_demo; fi
  check_configuration
  for daemon in "${daemons[@]}"; do
    is_running "keep-alive-$daemon" && continue
    detached "$project/scripts/keep-alive.sh" "$daemon"
  done
  for daemon in "${daemons[@]}"; do
    # On a full disk the PID file may be empty. (To ask for its lock any earlier would get in its way.)
    wait_until 5 is_running "keep-alive-$daemon" || is_held "$run/keep-alive-$daemon.lock" ||
      give_up "keep-alive.sh $daemon did not start"
  done
  exec 8>&-
}

# In a session of its own, with nothing of ours open: a pipe or an ssh that we run in must end.
detached() { setsid --fork "$@" </dev/null >/dev/null 2>&1 8>&-; }

# Every fault at once.
check_configuration() {
  local settings
  settings=$(cli check-config --settings) || {
    local code=$?
    ((code != misconfigured_code)) || complain "Nothing was started. Mend $env_file, then run this again."
    exit "$code"
  }
  remember "$settings"
}

# For keep-alive.sh, which starts both daemons in this base, and finds the logs when .env is broken
# later. What runs already stays where it is, and so does what is started beside it.
remember() {
  local base=${1%%$'\n'*} old daemon
  old=$(known_base)
  if [[ -s $run/base-dir ]]; then
    for daemon in "${daemons[@]}"; do
      if is_running "$daemon" || is_running "keep-alive-$daemon"; then return; fi
    done
    [[ $old == "$base" ]] || warn_of_files_left "$old/recordings" "$base/recordings"
  fi
  if { printf '%s\n' "$1" "$(env_mark)" >"$run/base-dir.new" && mv "$run/base-dir.new" "$run/base-dir"; } 2>/dev/null; then return; fi
  rm -f "$run/base-dir.new"
  complain "! The disk is full: the settings could not be written to $run."
}

warn_of_files_left() {
  local files
  files=$(find "$1" -name '*.mp4' -type f -printf . 2>/dev/null) || true
  [[ -z $files ]] || complain "! Files that wait in $1: ${#files}. Move them to $2"
}

all_running() {
  local daemon
  for daemon in "${daemons[@]}"; do
    is_running "$daemon" && is_running "keep-alive-$daemon" || return 1
  done
  [[ -z $demo ]] || is_running demo
}

show_processes() {
  local daemon pid logs
  logs=$(logs_folder)
  for daemon in "${daemons[@]}"; do
    pid=$(running_pid "$daemon") || pid='not running'
    printf '%-10s PID %-8s log %s\n' "$daemon" "$pid" "$logs/$daemon.log"
  done
  if [[ -n $demo ]]; then
    printf '%-10s PID %-8s two cameras and an S3 server\n' demo "$(running_pid demo || say 'not running')"
  fi
}

show_next() {
  local prefix
  prefix=$(prefix)
  say
  say "How it is:      $prefix./scripts/status.sh"
  say "What it does:   tail -F $(printf %q "$(logs_folder)")/{recorder,uploader}.log"
  say "Stop it:        $prefix./scripts/stop.sh"
  show_edit
}

# The daemons have read the file at their start, and don't read it again.
show_edit() {
  [[ -z $demo ]] || return 0
  local mark
  mark=$(sed -n 4p "$run/base-dir" 2>/dev/null) || true
  if [[ -n $mark && $mark != "$(env_mark)" ]]; then
    complain "$env_file has changed since the start: $(prefix)./scripts/restart.sh"
  else
    say "After an edit of ${env_file##*/}: $(prefix)./scripts/restart.sh"
  fi
}

# Changes with each edit. (To ask which file is newer would trust a clock that may have been wrong.)
env_mark() { stat -c '%i %s %y' -- "$env_file" 2>/dev/null || true; }

# What to write in front of a script for this installation.
prefix() {
  [[ -n $demo || $env_file == "$(real_path "$project/.env")" ]] || say "ENV_FILE=$(printf %q "$env_file") "
}

# The cameras and the store come up first: they write the configuration.
start_demo() {
  is_running demo && return
  rm -f "$run/demo.ready"
  say "Starting two emulated cameras and an S3 server …"
  (cd "$project" && exec setsid --fork node --import tsx demo/main.ts </dev/null >/dev/null 2>"$run/demo.errors" 8>&-)
  wait_until 30 test -e "$run/demo.ready" || {
    cat "$run/demo.errors" >&2
    give_up "the emulated cameras did not start"
  }
}

# Waits until the first segment is proven to be in the store.
show_upload() {
  local key store
  store=$(<"$run/demo.ready")
  say
  say "Objects appear in   ${store#* }"
  say "Waiting for the first segment (10 s long) to be uploaded and verified …"
  key=$(cli wait-uploaded) || give_up "no segment was uploaded within 40 s: see ./scripts/status.sh"
  say "Verified upload:    $key"
  say "Play it:            ffplay ${store%% *}/$key"
  say "                    (or open that address in a browser)"
  say "About 6 GB a day: stop it when you have seen enough."
}

give_up() {
  complain "Gave up: $*."
  exit 1
}

main "$@"
