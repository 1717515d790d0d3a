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
  ((ended > 0 || left > 0)) || say "Nothing was running."
  ((left == 0))
}

stop_installation() {
  if [[ -e $run/start.lock && ! -w $run/start.lock ]]; then
    left=$((left + 1))
    complain "What was started here belongs to $(stat -c %U "$run/start.lock"): sudo ./scripts/stop.sh"
    return
  fi
  exec 8>>"$run/start.lock"
  flock -w 30 8 || complain "A start.sh is still at work; stopping what there is."
  # Whoever starts things again goes first.
  end_all 2 keep-alive-recorder keep-alive-uploader
  end_all 10 recorder uploader
  end_all 5 demo
  # No orphans: a recorder that could not be ended still has them.
  if is_free "$run/recorder.lock"; then end_orphaned_cameras; fi
  report_what_is_left
  forget_pids
  exec 8>&-
}

# SIGTERM to all of these at once, and SIGKILL to those that are there after so many seconds.
end_all() {
  local name pid seconds=$1 started
  started=$(uptime_now)
  local -A pids=()
  shift
  for name in "$@"; do
    pid=$(running_pid "$name") || pid=$(lost_pid "$name") || continue
    pids[$name]=$pid
    kill -TERM "$pid" || continue
    # One that is suspended hears nothing.
    kill -CONT "$pid" 2>/dev/null || true
  done
  wait_until "$seconds" are_gone "${!pids[@]}" || true
  for name in "${!pids[@]}"; do
    pid=${pids[$name]}
    ended=$((ended + 1))
    if are_gone "$name"; then
      [[ $name == keep-alive-* ]] || say "Stopped the $name (PID $pid) in $(seconds_since "$started") s."
      continue
    fi
    kill -KILL "$pid" || true
    wait_until 2 are_gone "$name" || true
    say "Killed the $name (PID $pid): it had not ended within $seconds s."
  done
}

# Whether these of end_all's `pids` have let go of their locks.
are_gone() {
  local name
  for name in "$@"; do
    ! has_open "${pids[$name]}" "$run/$name.lock" || return 1
  done
}

# Who holds a lock whose PID file says nothing (a full disk), as far as that can be seen.
lost_pid() {
  local pid lock=$run/$1.lock
  is_held "$lock" || return 1
  pid=$(holders "$lock" | sed -n 1p)
  [[ -n $pid ]] && say "$pid"
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
  local lock pids unseen=
  for lock in "$run"/*.lock; do
    if [[ ! -e $lock || ${lock##*/} == start.lock ]]; then continue; fi
    # On a busy machine a process has closed its files a moment before it lets go of their locks.
    wait_until 2 is_free "$lock" && continue
    left=$((left + 1))
    pids=$(holders "$lock" | paste -sd ' ')
    complain "Still running: ${pids:+PID $pids, }what holds $lock."
    if [[ -z $pids ]]; then unseen=yes; fi
  done
  [[ -z $unseen ]] || complain "These belong to another user: sudo ./scripts/stop.sh"
}

# Those of whoever is still there must lead the next stop.sh to him.
forget_pids() {
  local pid_file
  for pid_file in "$run"/*.pid; do
    is_held "${pid_file%.pid}.lock" || rm -f "$pid_file"
  done
}

is_free() { ! is_held "$1"; }

# Hundredths of a second since the machine started: the wall clock may be set meanwhile.
uptime_now() {
  local up
  read -r up _ </proc/uptime
  say "$((10#${up/./}))"
}

seconds_since() {
  local hundredths=$(($(uptime_now) - $1))
  printf '%d.%d' $((hundredths / 100)) $((hundredths % 100 / 10))
}

main
