#!/usr/bin/env bash
# stop.sh: ends what start.sh started, and nothing else; verifies that nothing of it is left.
# Without ENV_FILE it ends the demo too. Needs no configuration: it goes by locks and PIDs.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

ended=0 # how many processes
left=0  # how many locks are still held

main() {
  local installation installations=("$project/.env" "$demo_env")
  if [[ -n ${ENV_FILE:-} ]]; then installations=("$ENV_FILE"); fi
  for installation in "${installations[@]}"; do
    use_installation "$installation"
    [[ ! -d $run ]] || stop_installation
  done
  ((ended > 0)) || say "Nothing was running."
  ((left == 0))
}

stop_installation() {
  exec 8>>"$run/start.lock"
  flock -w 30 8 || complain "A start.sh is still at work; stopping what there is."
  # Whoever starts things again goes first.
  end_all 2 keep-alive-recorder keep-alive-uploader
  end_all 10 recorder uploader
  end_all 5 demo
  end_orphaned_cameras
  report_what_is_left
  rm -f "$run"/*.pid
  exec 8>&-
}

# SIGTERM to all of these at once, and SIGKILL to those that are there after so many seconds.
end_all() {
  local name pid seconds=$1 started=$EPOCHREALTIME
  local -A pids=()
  shift
  for name in "$@"; do
    pid=$(running_pid "$name") || continue
    pids[$name]=$pid
    kill -TERM "$pid" || continue
    # One that is suspended hears nothing.
    kill -CONT "$pid" 2>/dev/null || true
  done
  wait_until "$seconds" are_gone "${!pids[@]}" || true
  for name in "${!pids[@]}"; do
    pid=${pids[$name]}
    ended=$((ended + 1))
    if is_gone "$name"; then
      [[ $name == keep-alive-* ]] || say "Stopped the $name (PID $pid) in $(seconds_since "$started") s."
      continue
    fi
    kill -KILL "$pid" || true
    wait_until 2 is_gone "$name" || true
    say "Killed the $name (PID $pid): it had not ended within $seconds s."
  done
}

are_gone() {
  local name
  for name in "$@"; do
    is_gone "$name" || return 1
  done
}

# An FFmpeg ends with its recorder, but not while its camera is silent.
end_orphaned_cameras() {
  local lock pid
  for lock in "$run"/camera-*.lock; do
    [[ -e $lock ]] || continue
    wait_until 2 is_free "$lock" && continue
    for pid in $(holders "$lock"); do
      kill -KILL "$pid" || continue
      ended=$((ended + 1))
      say "Killed an orphaned FFmpeg of ${lock##*/camera-} (PID $pid)." | sed 's/\.lock//'
    done
    wait_until 2 is_free "$lock" || true
  done
}

report_what_is_left() {
  local lock
  for lock in "$run"/*.lock; do
    if [[ ${lock##*/} == start.lock ]] || is_free "$lock"; then continue; fi
    left=$((left + 1))
    complain "Still running: PID $(holders "$lock" | paste -sd ' '), which holds $lock."
  done
}

is_free() { ! is_held "$1"; }

seconds_since() {
  local microseconds=$((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}))
  printf '%d.%d' $((microseconds / 1000000)) $((microseconds % 1000000 / 100000))
}

main
