# shellcheck shell=bash
# What the scripts share; sourced by them, never run. It sets `repository`, and find_build sets `build`.

set -euo pipefail
umask 022 # what root builds is run by the user of the servers
unset CDPATH

repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

say() { printf '%s\n' "$*"; }

# die MESSAGE HINT [EXIT CODE]
die() {
  printf '%s: %s\nhint: %s\n' "$(basename -- "$0")" "$1" "$2" >&2
  exit "${3:-1}"
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# PostgreSQL refuses to run as root: started by root, walback and its tests go on as this user.
server_user=postgres

server_user_can_enter() {
  is_root && id "$server_user" >/dev/null 2>&1 || return 0
  setpriv --reuid="$server_user" --regid="$server_user" --init-groups test -x "$1"
}

# A file or directory of root's is handed to the user that will work with it.
give_to_server_user() {
  if is_root; then chown "$server_user:" "$1"; fi
}

# Where the servers' user cannot go (root's checkout in /root, in a home directory), the build lies elsewhere.
find_build() {
  build=$repository/build
  if [ -n "${WALBACK_BUILD:-}" ]; then
    build=$(realpath -m -- "$WALBACK_BUILD")
  elif ! server_user_can_enter "$repository"; then
    build=/var/tmp/walback-build-$(printf '%s' "$repository" | sha256sum | cut -c1-12)
    # The name can be guessed: what somebody else put there is not run.
    if [ -L "$build" ] || { [ -e "$build" ] && [ ! -O "$build" ]; }; then
      die "'$build' is not a directory of user $(id -un)" 'Remove it, or name another build directory: WALBACK_BUILD=DIR.'
    fi
  fi
}

# shown COMMAND ARGUMENT…: as a person would type it.
shown() {
  local word line=''
  for word in "$@"; do
    case $word in
      '' | *[!A-Za-z0-9_./:=,@%+-]*) word="'${word//\'/\'\\\'\'}'" ;;
    esac
    line+=" $word"
  done
  printf '%s' "${line# }"
}

# field NAME: the last string of that name in walback's JSON on stdin, however it is laid out. Values with quotes in
# them are cut there; the ones that the scripts ask for have none.
field() { grep -o "\"$1\" *: *\"[^\"]*\"" | tail -n 1 | cut -d '"' -f 4; }

# A port on which nobody listens; whether it will do, walback's plan decides.
free_port() {
  local port
  for ((port = 15432; port < 15532; port++)); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%s' "$port"
      return
    fi
  done
  die 'ports 15432 to 15531 are all taken' 'Free one of them.' 6
}
