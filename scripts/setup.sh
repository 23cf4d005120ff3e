#!/bin/sh
# Sets up what the project's commands need: its npm packages (Node 24 among them) and, with `quickstart` or `test`, programs from Debian.
# What is there already is left alone. Says exactly what is missing, and how to get it, where it cannot install it itself.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
what=${1:-}

# program:package
case $what in
  quickstart) wanted='crun|runc:crun busybox:busybox-static' ;;
  test) wanted='crun:crun runc:runc busybox:busybox-static skopeo:skopeo umoci:umoci docker-registry:docker-registry debootstrap:debootstrap git:git xz:xz-utils bzip2:bzip2 tmux:tmux ssh-agent:openssh-client' ;;
  *) wanted='' ;;
esac

has() {
  for name in $(echo "$1" | tr '|' ' '); do
    PATH="$PATH:/usr/sbin:/sbin" command -v "$name" >/dev/null 2>&1 && return 0
  done
  return 1
}

node_major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
if [ "$node_major" -lt 20 ] || ! has npm; then
  echo "missing: Node 20 or newer, with npm (Debian: apt-get install nodejs npm)" >&2
  exit 1
fi

# npm packages: once for each state of the lock file.
stamp=$root/node_modules/.kiln-setup
lock=$(cksum <"$root/package-lock.json")
if [ "$(cat "$stamp" 2>/dev/null)" != "$lock" ]; then
  echo 'setting up: npm packages'
  (cd "$root" && npm ci --no-audit --no-fund --loglevel=error)
  echo "$lock" >"$stamp"
fi

missing=''
for pair in $wanted; do
  has "${pair%%:*}" || missing="$missing ${pair##*:}"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "missing:$missing. Install with: sudo apt-get install -y$missing" >&2
    exit 1
  fi
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing:$missing (names of Debian packages). Install them with this system's package manager." >&2
    exit 1
  fi
  echo "setting up:$missing"
  # shellcheck disable=SC2086
  {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
      { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
  } || {
    echo "could not install:$missing. Try: apt-get update && apt-get install -y$missing" >&2
    exit 1
  }
fi

if [ -n "$what" ] && [ "$(id -u)" != 0 ]; then
  echo 'needs root: build steps run in containers over mounted snapshots. Run it with sudo.' >&2
  exit 1
fi
