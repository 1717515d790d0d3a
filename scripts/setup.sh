#!/usr/bin/env bash
# setup.sh [--test] [--quiet]: installs and builds what is missing, and says what it does; changes
# nothing where all is in place. --test adds what only test.sh needs; --quiet says only what it does.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
cd "$project"

tools=(ffmpeg ffprobe lsof flock setpriv prlimit)
quiet=
for option in "$@"; do
  case $option in
    --test) tools+=(shellcheck faketime strace openssl) ;;
    --quiet) quiet=yes ;;
    *)
      complain "usage: $0 [--test] [--quiet]"
      exit 64
      ;;
  esac
done

main() {
  ((BASH_VERSINFO[0] >= 5)) || refuse "bash >= 5, found $BASH_VERSION: install a newer bash"
  check_node
  mkdir -p "$project/data/run"
  exec 7>>"$project/data/run/setup.lock"
  flock 7
  install_tools
  install_packages
  build
  [[ -n $quiet ]] || say "Setup: everything is in place (Node $(node -p process.versions.node), FFmpeg $(version_of ffmpeg))."
}

check_node() {
  local hint='from https://nodejs.org, or: curl -fsSL https://deb.nodesource.com/setup_22.x | sudo bash - && sudo apt-get install -y nodejs'
  if ! command -v node >/dev/null && candidate_is nodejs "$oldest_node"; then apt_install nodejs npm; fi
  command -v node >/dev/null || refuse "Node.js >= $oldest_node: install it $hint"
  is_new_node "$(node -p process.versions.node)" ||
    refuse "Node.js >= $oldest_node, found $(node -v): install a newer one $hint"
  command -v npm >/dev/null || refuse "npm: install it with Node.js, $hint"
}

# Which Debian package has a tool.
package_of() {
  case $1 in
    ffmpeg | ffprobe) say ffmpeg ;;
    flock | setpriv | prlimit) say util-linux ;;
    *) say "$1" ;;
  esac
}

install_tools() {
  local tool packages=() missing=()
  for tool in "${tools[@]}"; do
    command -v "$tool" >/dev/null && continue
    missing+=("$tool")
    packages+=("$(package_of "$tool")")
  done
  if ((${#missing[@]} > 0)); then
    if can_install; then
      apt_install "${packages[@]}"
    else
      for tool in "${missing[@]}"; do
        complain "Missing: $tool. Install it: sudo apt-get install -y $(package_of "$tool") (or your system's package of that name)"
      done
      exit 1
    fi
  fi
  for tool in ffmpeg ffprobe; do
    at_least "$(version_of "$tool")" 5.1 ||
      refuse "$tool >= 5.1, found $(version_of "$tool"): install a newer FFmpeg, for example from https://ffmpeg.org/download.html"
  done
}

# The modules that package-lock.json names; a copy of it among them tells which ones they are.
install_packages() {
  local stamp=node_modules/.installed-package-lock.json
  cmp -s package-lock.json "$stamp" && return
  say "Installing the Node modules (npm ci) …"
  npm ci --include=dev --no-audit --no-fund --loglevel=error >&2 ||
    refuse "the modules of package-lock.json: is there a network?"
  cp package-lock.json "$stamp"
}

# What dist/ is built from; by content, for the times of files are those of a clock that may be wrong.
sources() { find src tsconfig.json tsconfig.build.json package-lock.json -type f -exec sha256sum {} + | sort; }

build() {
  local stamp=dist/.built
  [[ $(sources) == "$(cat "$stamp" 2>/dev/null)" ]] && return
  say "Building dist/ …"
  mkdir -p dist
  sources >"$stamp.new" # before: what is edited meanwhile differs
  # What was built before stays where this fails.
  node_modules/.bin/tsc -p tsconfig.build.json --noEmitOnError >&2 || refuse "a build without errors"
  mv "$stamp.new" "$stamp"
}

can_install() { [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; }

candidate_is() {
  can_install || return 1
  apt_update
  local candidate
  candidate=$(apt-cache policy "$1" | sed -n 's/^ *Candidate: \(.*:\)\?//p')
  at_least "${candidate%%[-+~]*}" "$2"
}

apt_updated=
apt_update() {
  [[ -z $apt_updated ]] || return 0
  apt-get update -qq >&2
  apt_updated=yes
}

apt_install() {
  say "Installing $* (apt-get) …"
  apt_update
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# 5.1.9-0+deb12u1, n7.1, 20.20.2. A build from git has no number, and is taken to be new.
version_of() {
  local version
  version=$("$1" -version | sed -n '1s/^[^ ]* version n\?\([0-9][0-9.]*\).*/\1/p')
  say "${version:-999}"
}

refuse() {
  complain "Needed: $*"
  exit 1
}

main
