# What the scripts of this folder share: versions, folders, and how to fail. Sourced by them.
# shellcheck shell=bash
DEFAULT_VERSION=1.37.2
# shellcheck disable=SC2034  # used by the scripts that source this
HELM_VERSION=v3.19.5 COREDNS_VERSION=v1.15.0 VERSITYGW_VERSION=v1.8.0 KWOK_VERSION=v0.8.0 KUBE_ROUTER_VERSION=v2.1.0
CLUSTER_CACHE=${AGOGE_CACHE:-$HOME/.cache/agoge}/cluster
# shellcheck disable=SC2034
TOOLS=$CLUSTER_CACHE/tools
mkdir -p "$CLUSTER_CACHE"

die() {
  echo "$*" >&2
  exit 1
}

check_version() {
  [[ $1 =~ ^1\.[0-9]+\.[0-9]+$ ]] || die "'$1' is not a version of Kubernetes such as $DEFAULT_VERSION"
}

bin_of() { echo "$CLUSTER_CACHE/$1/bin"; }

# at_least VERSION MINOR: whether VERSION is 1.MINOR or newer.
at_least() {
  local minor=${1#1.}
  ((${minor%%.*} >= $2))
}

# need COMMAND:PACKAGE...: installs the Debian packages of the commands that are missing.
need() {
  local missing=() entry
  for entry in "$@"; do
    [[ -e ${entry%%:*} ]] || command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "install ${missing[*]} first: there is no apt-get here to do it"
  echo "installing ${missing[*]}" >&2
  { apt-get install -y --no-install-recommends "${missing[@]}" || { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; }; } >"$CLUSTER_CACHE/apt.log" 2>&1 ||
    die "installing ${missing[*]} failed: see $CLUSTER_CACHE/apt.log"
}

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds, or fails saying WHAT did not happen.
wait_for() {
  local limit=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < limit)) || die "$what did not happen in time"
    sleep 0.1
  done
}

# The node's address, from the range for documentation: no machine has it.
# shellcheck disable=SC2034
NODE=192.0.2.10

# start_of PID: when the process began, which tells it from a later one with the same number.
start_of() { sed -E 's/.*\) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# alive OUT: whether the first process of the cluster in OUT still runs.
alive() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) && [[ -n $pid && $(start_of "$pid") == "$(cat "$1/pid.start" 2>/dev/null)" ]]
}

# cgroups NAME: its folders, one in each hierarchy of version 1 or one in version 2.
cgroup_roots() {
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    echo /sys/fs/cgroup
  else
    local root
    for root in /sys/fs/cgroup/*; do [[ -L $root || ! -e $root/cgroup.procs ]] || echo "$root"; done
  fi
}

make_cgroups() {
  local root
  for root in $(cgroup_roots); do
    mkdir -p "$root/$1"
    if [[ -e $root/cpuset.cpus ]]; then
      cat "$root/cpuset.cpus" >"$root/$1/cpuset.cpus"
      cat "$root/cpuset.mems" >"$root/$1/cpuset.mems"
    fi
  done
}

remove_cgroups() {
  local root
  for root in $(cgroup_roots); do
    [[ ! -d $root/$1 ]] || find "$root/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}

# own_images: the pause and CoreDNS images, made once.
own_images() {
  local here
  here=$(dirname "${BASH_SOURCE[0]}")
  (
    flock 9
    if [[ ! $TOOLS/pause.tar -nt $here/pause.c ]]; then
      gcc -Os -static -s -o "$TOOLS/pause" "$here/pause.c" || exit 1
      "$here/image" localhost/pause:dev "$TOOLS/pause.tar" "$TOOLS/pause" || exit 1
    fi
    if [[ ! $TOOLS/coredns.tar -nt $TOOLS/coredns ]]; then
      "$here/image" localhost/coredns:dev "$TOOLS/coredns.tar" "$TOOLS/coredns" || exit 1
    fi
  ) 9>"$CLUSTER_CACHE/images.lock" || die "the images of the cluster's own programs could not be made"
}
