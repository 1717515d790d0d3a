#!/usr/bin/env bash
# keep-alive.sh DAEMON: runs one daemon for ever. One that ends is started again within seconds,
# one whose status stays unchanged is killed first, one whose configuration is refused is tried
# again each minute. start.sh starts it, in a session of its own; SIGTERM ends it, not the daemon.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
# Nothing that fails may end the one who starts things again.
set +e

daemon=$1
use_installation "${ENV_FILE:-$project/.env}"
cd "$project" || exit 1

tick_seconds=2
hang_seconds=${KEEP_ALIVE_HANG_SECONDS:-60}
refused_seconds=${KEEP_ALIVE_REFUSED_SECONDS:-60}
refused_code=78
longest_delay=4
longest_report=100 # lines
declare -A json_levels=([INFO]=30 [WARNING]=40 [ERROR]=50) # as src/daemon/logger.ts numbers them

code=0         # how the daemon ended
report=()      # what it wrote to stderr, as far as the log doesn't have it yet
ticks=0        # how often it was looked at
unchanged=0    # for how many seconds its status has been the same
last_status=
refusals=0     # in a row
refused_for=   # the faults that were logged last

main() {
  mkdir -p "$run"
  # Nobody else may inherit this descriptor, or they would hold the lock after our death.
  exec 9>>"$run/keep-alive-$daemon.lock"
  flock -n 9 || exit 0
  say $$ >"$run/keep-alive-$daemon.pid"
  exec 8<> <(:) # never yields a byte: see pause
  trap end TERM INT HUP

  local failures=0
  while true; do
    adopt
    run_daemon
    if ((code == refused_code)); then
      after_refusal
      failures=0
      continue
    fi
    # One that ran for a minute has not failed at once.
    ((ticks * tick_seconds < 60)) || failures=0
    failures=$((failures + 1))
    local delay=$((failures < longest_delay ? failures : longest_delay))
    # What fails again and again is said five times, and then each few minutes.
    if ((failures <= 5 || failures % 60 == 0)); then
      log_report
      log WARNING "$daemon ended $(how_it_ended); starting it again in $delay s (time $failures in a row)"
    fi
    pause "$delay"
  done
}

# The daemon goes on: stop.sh finds it by its lock. One so young that it has none yet is not found.
end() {
  local child=$!
  if ! has_open "$child" "$run/$daemon.lock" && grep -qs "^PPid:[[:space:]]*$$\$" "/proc/$child/status"; then
    kill -KILL "$child"
  fi
  exit 0
}

# Starts the daemon and returns when it has ended, with its exit code in `code`. What it writes
# to stderr, which is what could not be said in its log, is passed on to the log; what it wrote
# last is left in `report`.
run_daemon() {
  local errors pid line text='' status patience
  report=()
  begin_watch
  # What is edited in .env moves nothing until restart.sh: both daemons must work in one place.
  [[ ! -s $run/base-dir ]] || BASE_DIR=$(known_base)
  [[ -z ${BASE_DIR:-} ]] || export BASE_DIR
  # A small young generation: what is garbage soon takes no memory for long.
  exec {errors}< <(exec node --max-semi-space-size=4 "dist/$daemon/main.js" 2>&1 >/dev/null </dev/null 8>&- 9>&-)
  pid=$!
  while true; do
    patience=$tick_seconds
    ((${#report[@]} == 0)) || patience=0.5
    IFS= read -r -t "$patience" -u "$errors" line
    status=$?
    text+=$line
    if ((status == 0)); then
      take_line "$text"
      text=''
    elif ((status <= 128)); then
      break # the end of its stderr
    elif ((${#report[@]} > 0)); then
      log_report
    else
      watch "$pid"
      end_refusals
      kill -0 "$pid" 2>/dev/null || break
    fi
  done
  [[ -z $text ]] || take_line "$text"
  exec {errors}<&-
  wait "$pid"
  code=$?
}

# Stands by for a daemon that runs already: its last keep-alive was killed.
adopt() {
  local pid
  begin_watch
  while pid=$(running_pid "$daemon"); do
    if ((ticks == 0)); then log INFO "watching over the $daemon that is running (PID $pid)"; fi
    pause "$tick_seconds"
    watch "$pid"
  done
  if ((ticks > 0)); then log WARNING "$daemon ended; starting it again"; fi
}

begin_watch() {
  ticks=0
  unchanged=0
  last_status=
}

# Kills the daemon if its status has not changed for too long: counted in ticks of our own, for the
# wall clock may jump, and a machine that slept is no daemon that hangs.
watch() {
  local status
  ticks=$((ticks + 1))
  status=$(stat -L -c '%i %y' "$run/$daemon.status" 2>/dev/null)
  if [[ $status != "$last_status" ]]; then
    last_status=$status
    unchanged=0
    return
  fi
  unchanged=$((unchanged + tick_seconds))
  ((unchanged >= hang_seconds)) || return
  log ERROR "$daemon (PID $1) hangs: no sign of life for $unchanged s; killing it"
  kill -KILL "$1"
  unchanged=0
}

# A line that is one of the log already goes there as it is; others are gathered.
take_line() {
  if [[ $1 =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}\ [0-9:.]+\ \|\  || $1 == '{"level":'*'}' ]]; then
    append "$1"
  elif ((${#report[@]} < longest_report)) && [[ $1 == *[![:space:]^]* ]]; then
    report+=("$1")
  fi
}

# What came together (a stack, say) is one line.
log_report() {
  local line text=
  ((${#report[@]} > 0)) || return
  for line in "${report[@]}"; do
    text+="${text:+ ⏎ }${line#"${line%%[![:space:]]*}"}"
  done
  log ERROR "$daemon: $text"
  report=()
}

# Says each fault once, however often the same configuration is refused.
after_refusal() {
  local line
  if [[ "${report[*]}" != "$refused_for" || $refusals == 0 ]]; then
    for line in "${report[@]}"; do log ERROR "$line"; done
    log ERROR "$daemon can't start: mend $env_file (tried again every $refused_seconds s)"
    refused_for=${report[*]}
  fi
  refusals=$((refusals + 1))
  report=()
  pause "$refused_seconds"
}

# Said when the daemon has been up for a tick.
end_refusals() {
  if ((refusals == 0)) || is_gone "$daemon"; then return; fi
  log INFO "$daemon: configuration accepted, after it was refused $refusals times"
  refusals=0
}

how_it_ended() {
  if ((code > 128 && code < 192)); then
    say "by SIG$(kill -l "$((code - 128))")"
  else
    say "with exit code $code"
  fi
}

# Writes a line of our own, in the log's form and its time zone, to the daemon's current log.
log() {
  local zone='' format='' now=$EPOCHREALTIME
  [[ ! -r $run/base-dir ]] || { read -r _ && read -r zone && read -r format; } <"$run/base-dir"
  [[ -z $zone ]] || local -x TZ=$zone
  if [[ $format == json ]]; then
    append "$(printf '{"level":%d,"time":%d,"daemon":"%s","msg":"%s"}' \
      "${json_levels[$1]}" "$((${now/[.,]/} / 1000))" "$daemon" "$(json_escaped "$2")")"
    return
  fi
  append "$(printf '%s.%s | %-8s | %s' "$(date -d "@${now%[.,]*}" '+%F %T')" "${now: -6:3}" "$1" "$2")"
}

# Quoted replacements are literal, whichever bash this is.
json_escaped() {
  local slash=\\ quote='"' text
  text=${1//"$slash"/"$slash$slash"}
  text=${text//"$quote"/"$slash$quote"}
  say "${text//[[:cntrl:]]/ }"
}

append() {
  local folder name
  folder=$(logs_folder)
  if [[ ! -e $folder/$daemon.log ]]; then
    mkdir -p "$folder"
    name=${daemon}_$(date '+%F_%H-%M-%S').log
    : >>"$folder/$name" && ln -sfn "$name" "$folder/$daemon.log"
  fi
  # A disk that is full, or gone, takes no line; that is no reason to stop.
  { say "$1" >>"$folder/$daemon.log"; } 2>/dev/null
}

# Sleeps without a child, which would hold our lock for a while if we were killed.
pause() { read -r -t "$1" -u 8 _; }

main
