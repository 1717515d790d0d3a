# shellcheck shell=bash
# What the scripts share. Sourced, never run. An installation is what one ENV_FILE describes; its
# locks and PIDs lie in data/run/<key of that file's path>, whatever the file says.
set -euo pipefail
umask 077

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
demo_env=$(realpath -m -- "$project/data")/demo/demo.env

misconfigured_code=78
oldest_node=20.19

say() { printf '%s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }

# The path of ENV_FILE as src/daemon/environment.ts resolves it, so that both find the same locks.
real_path() {
  local path
  path=$(realpath -sm -- "$1")
  if [[ -e $path ]]; then
    realpath -- "$path"
  elif [[ -d ${path%/*}/ ]]; then
    path=$(realpath -- "${path%/*}/")/${path##*/}
    say "${path/#\/\//\/}"
  else
    say "$path"
  fi
}

# Turns to the installation of an ENV_FILE: sets env_file, run and what the daemons inherit.
use_installation() {
  local key
  env_file=$(real_path "$1")
  key=$(printf %s "$env_file" | sha256sum)
  run=$project/data/run/${key:0:12}
  export ENV_FILE=$env_file
  [[ $env_file != "$demo_env" ]] || forget_real_settings
  if [[ -d $run && ! (-r $run && -x $run) ]]; then
    complain "The locks of this installation belong to $(stat -c %U "$run") ($run): run this as that user."
    exit 1
  fi
}

# What is set for the real cameras and the real bucket must not reach the demo.
forget_real_settings() {
  local name
  for name in $(compgen -e); do
    case $name in
      AWS_* | S3_* | ALERT_* | HEARTBEAT_URL | CAMERA_* | VIDEO_* | STALL_SECONDS | STABLE_SECONDS | RESCAN_SECONDS | SEGMENT_DURATION | UPLOAD_CONCURRENCY | UPLOAD_MAX_MBITS | LOCAL_RETENTION_HOURS | MIN_FREE_DISK_GB | ON_DISK_FULL | BASE_DIR)
        unset "$name"
        ;;
    esac
  done
}

# Every installation that a script without ENV_FILE is about: .env, and the demo while it runs.
all_installations() {
  if [[ -n ${ENV_FILE:-} ]]; then
    real_path "$ENV_FILE"
    return
  fi
  local default demo=
  default=$(real_path "$project/.env")
  use_installation "$demo_env"
  if anything_running; then demo=$demo_env; fi
  use_installation "$default"
  if [[ -z $demo || -e $default ]] || anything_running; then say "$default"; fi
  [[ -z $demo ]] || say "$demo"
}

# Turns to the one that a script is about which tells of no more than one: .env, or the demo without it.
use_known_installation() {
  local file=${ENV_FILE:-$project/.env}
  if [[ -z ${ENV_FILE:-} && ! -e $file && -e $demo_env ]]; then file=$demo_env; fi
  use_installation "$file"
}

# The PID of a part of this installation (recorder, keep-alive-recorder, demo, …), if it runs. A
# PID file is believed only while that process has the lock open: after a reboot the number may
# belong to a stranger. Looking at /proc takes no lock, so it can't get in a starting daemon's way.
running_pid() {
  local pid lock=$run/$1.lock
  [[ -e $lock ]] && read -r pid 2>/dev/null <"$run/$1.pid" && [[ $pid =~ ^[0-9]+$ ]] || return 1
  has_open "$pid" "$lock" || return 1
  say "$pid"
}

# Whether a process has a file open; as far as we may look into that process.
has_open() {
  local descriptor
  for descriptor in /proc/"$1"/fd/*; do
    if [[ $descriptor -ef $2 ]]; then return 0; fi
  done
  return 1
}

is_running() { running_pid "$1" >/dev/null; }

# Whether any part of this installation runs.
anything_running() {
  local pid_file name
  for pid_file in "$run"/*.pid; do
    name=${pid_file##*/}
    if is_running "${name%.pid}"; then return 0; fi
  done
  return 1
}

# Whether any process holds a lock.
is_held() { [[ -e $1 ]] && ! flock -n "$1" true; }

# The PIDs of all processes that have a file open.
holders() {
  if command -v lsof >/dev/null; then
    lsof -t -- "$1" 2>/dev/null || true
    return
  fi
  local descriptor pid
  for descriptor in /proc/[0-9]*/fd/*; do
    [[ $descriptor -ef $1 ]] || continue
    pid=${descriptor#/proc/}
    say "${pid%%/*}"
  done | sort -u
}

# Whether a version, 20.20.2, is another or later.
at_least() { [[ -n $1 && $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# Whether that of Node.js is one that runs this.
is_new_node() { at_least "$1" "$oldest_node"; }

# Repeats a command each tenth of a second until it succeeds, at most so many seconds.
wait_until() {
  local tries=$(($1 * 10))
  shift
  until "$@"; do
    ((tries-- > 0)) || return 1
    sleep 0.1
  done
}

is_gone() { ! is_running "$1"; }

# One of the programs in src/cli. That the AWS SDK will need a newer Node.js one day is nothing to mend.
cli() { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED=true node "$project/dist/cli/$1.js" "${@:2}"; }

# BASE_DIR as start.sh last found it, as far as the configuration was ever good.
known_base() {
  local base=
  if [[ -r $run/base-dir ]]; then read -r base <"$run/base-dir" || true; fi
  say "${base:-$project}"
}

# Where this installation's logs go.
logs_folder() { say "$(known_base)/data/logs"; }

explain_env_file() {
  if [[ $env_file == "$(real_path "$project/.env")" ]]; then
    complain "There is no configuration yet. Make one and fill in your cameras and your bucket:"
    complain "  cp .env.example .env && chmod 600 .env"
  else
    complain "There is no file $env_file, which ENV_FILE names. Make one from .env.example."
  fi
  complain "Or see it work without any camera or account:"
  complain "  ./scripts/start.sh --demo"
  exit "$misconfigured_code"
}
