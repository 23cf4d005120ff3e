#!/bin/sh
# Sets up what the project's commands need: its npm packages (Node 24 among them) and, with `quickstart` or `test`, programs from Debian.
# What is there already is left alone. What it cannot install itself it names, all at once, with the command that does.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
what=${1:-}
command=${npm_lifecycle_event:-$what}

# program:package
case $what in
  quickstart) wanted='crun|runc:crun busybox:busybox-static' ;;
  test) wanted='crun:crun runc:runc busybox:busybox-static skopeo:skopeo umoci:umoci docker-registry:docker-registry debootstrap:debootstrap git:git gpg:gnupg xz:xz-utils bzip2:bzip2 zstd:zstd openssl:openssl tmux:tmux ssh-agent:openssh-client sshd:openssh-server qemu-aarch64-static:qemu-user-static fsck.erofs:erofs-utils podman:podman containerd:containerd dockerd:docker.io docker:docker.io ip:iproute2 iptables:iptables nft:nftables /usr/lib/cni/bridge:containernetworking-plugins' ;;
  *) wanted='' ;;
esac

has() {
  for name in $(echo "$1" | tr '|' ' '); do
    PATH="$PATH:/usr/sbin:/sbin" command -v "$name" >/dev/null 2>&1 && return 0
  done
  return 1
}

problems=''
problem() {
  problems="$problems
  - $1"
}

node_version=$(node -p 'process.versions.node' 2>/dev/null || echo none)
if [ "$node_version" = none ] || [ "${node_version%%.*}" -lt 20 ]; then
  problem "Node 20 or newer (found: $node_version; Debian 12's own package is 18). Get it from https://nodejs.org/en/download"
fi
has npm || problem 'npm, which comes with Node: https://nodejs.org/en/download'

missing=''
for pair in $wanted; do
  has "${pair%%:*}" || missing="$missing ${pair##*:}"
done
if [ -n "$missing" ]; then
  if ! has apt-get; then
    problem "the programs of these Debian packages:$missing. Install them with this system's package manager"
  elif [ "$(id -u)" != 0 ]; then
    problem "the Debian packages$missing. Install them with: sudo apt-get install -y$missing"
  fi
fi
if [ -n "$what" ] && [ "$(id -u)" != 0 ]; then
  problem "root: build steps run in containers over mounted snapshots. Run it again with: sudo npm run $command"
fi
if [ -n "$problems" ]; then
  echo "npm run $command: this is missing:$problems" >&2
  exit 1
fi

# npm packages: once for each state of the lock file.
stamp=$root/node_modules/.kiln-setup
lock=$(cksum <"$root/package-lock.json")
if [ "$(cat "$stamp" 2>/dev/null)" != "$lock" ]; then
  echo 'setting up: npm packages'
  (cd "$root" && npm ci --no-audit --no-fund --loglevel=error) || {
    echo "could not install the npm packages; the reason is said above. Try again with: cd $root && npm ci" >&2
    exit 1
  }
  if [ ! -x "$root/node_modules/node/bin/node" ]; then
    echo "npm did not install Node 24, which the npm package 'node' brings by an install script. Allow it with: npm config set ignore-scripts false" >&2
    exit 1
  fi
  echo "$lock" >"$stamp"
fi

# Servers that only tests need. They have more packages than Kiln itself, so those who only use Kiln do not install them.
servers=$root/test-servers
stamp=$servers/node_modules/.kiln-setup
lock=$(cksum <"$servers/package-lock.json")
if [ "$what" = test ] && [ "$(cat "$stamp" 2>/dev/null)" != "$lock" ]; then
  echo 'setting up: servers for tests'
  (cd "$servers" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || {
    echo "could not install the servers for tests; the reason is said above. Try again with: cd $servers && npm ci --ignore-scripts" >&2
    exit 1
  }
  echo "$lock" >"$stamp"
fi

if [ -n "$missing" ]; then
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

# A program of another architecture, for what runs foreign platforms. The package comes by way of lists of packages in a directory of our
# own: the machine does not get a foreign architecture.
case $(uname -m) in
  aarch64) foreign=amd64 ;;
  *) foreign=arm64 ;;
esac
program=$root/.cache/foreign/busybox-$foreign
if [ "$what" = test ] && [ ! -x "$program" ]; then
  echo "setting up: busybox for $foreign"
  apt=$root/.cache/apt
  rm -rf "$apt"
  mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/files" "$(dirname "$program")"
  foreign_apt() {
    apt-get -qq -o Dir::State="$apt/state" -o Dir::State::status=/dev/null -o Dir::Cache="$apt/cache" \
      -o APT::Architecture="$foreign" -o APT::Architectures="$foreign" -o APT::Sandbox::User=root "$@"
  }
  (cd "$apt" && foreign_apt update && foreign_apt download busybox-static && dpkg-deb -x busybox-static_*.deb files) || {
    echo "could not get the package busybox-static for $foreign from the sources of packages in /etc/apt" >&2
    exit 1
  }
  # Where /bin is merged into /usr, packages have it there.
  mv "$(find "$apt/files" -type f -path '*/bin/busybox')" "$program.new"
  mv "$program.new" "$program"
  rm -rf "$apt"
fi
