#!/usr/bin/env bash
# Puts the Kubernetes that the behaviour tests run on this machine: Debian packages where this is root and apt is there,
# binaries built from the Go modules pinned in tests/kube/go.mod into one cache folder, whose path is the only line on
# standard output. What is there already is left alone (well under a second); the first build takes minutes.
#   scripts/kube.sh           install and build what is missing
#   scripts/kube.sh --check   change nothing; name what is missing, exit 2 if anything is
# ZKINFER_KUBE_BIN names another cache folder; tests/src/cluster/tools.rs looks in the same place.
set -euo pipefail
cd "$(dirname "$0")/.."

kubernetes=v1.36.2 helm=v4.3.1 coredns=v1.15.0 # kubernetes: as in tests/kube/go.mod
bin=${ZKINFER_KUBE_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/zkinfer/kube}
mode=${1:-install}
say() { printf 'kube: %s\n' "$*" >&2; }
# sbin holds some of these and is not on every user's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin

# Each Debian package, and the file or command that shows that it (or the same thing from elsewhere) is there.
packages="etcd-server:etcd containerd:ctr runc:runc containernetworking-plugins:/usr/lib/cni/bridge
    iptables:iptables nftables:nft iproute2:ip util-linux:nsenter procps:sysctl buildah:buildah openssl:openssl
    gcc:cc libc6-dev:/usr/include/unistd.h"
lacking() {
    local entry
    for entry in $packages; do
        command -v "${entry#*:}" >/dev/null 2>&1 || [ -e "${entry#*:}" ] || printf '%s ' "${entry%%:*}"
    done
}

# A group of binaries is current if its stamp equals the digest of all that decides what is in it.
stamp() { # group, words and files
    local group=$1
    shift
    { printf '%s\n' "$group" "$1"; cat "${@:2}"; } | sha256sum | cut -c1-64
}
stamp_kubernetes=$(stamp kubernetes "$kubernetes" tests/kube/go.mod tests/kube/go.sum)
stamp_helm=$(stamp helm "$helm" /dev/null)
stamp_coredns=$(stamp coredns "$coredns" /dev/null)
stamp_pause=$(stamp pause 1 tests/kube/pause.c)
current() { # group, binaries...
    local group=$1 want=stamp_$1 file
    shift
    [ "$(cat "$bin/.$group" 2>/dev/null)" = "${!want}" ] || return 1
    for file in "$@"; do [ -x "$bin/$file" ] || return 1; done
}
tools="kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl"
unbuilt() {
    # shellcheck disable=SC2086 # a list of words
    current kubernetes $tools || printf 'kubernetes '
    current helm helm || printf 'helm '
    current coredns coredns || printf 'coredns '
    current pause pause || printf 'pause '
}

missing=$(lacking)
todo=$(unbuilt)
if [ -z "$missing$todo" ]; then
    echo "$bin"
    exit 0
fi
if [ "$mode" = --check ]; then
    [ -z "$missing" ] || say "Debian packages missing: $missing"
    [ -z "$todo" ] || say "not built in $bin: $todo"
    exit 2
fi

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing $missing"
        export DEBIAN_FRONTEND=noninteractive
        # A package may bring a service of its own; the tests start their own daemons, so none may start at install.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            printf '#!/bin/sh\nexit 101\n' >$policy
            chmod +x $policy
            trap 'rm -f $policy' EXIT
        fi
        { apt-get update -q && apt-get install -qy --no-install-recommends $missing; } >&2
        [ -z "${policy:-}" ] || { rm -f $policy; trap - EXIT; }
    fi
    missing=$(lacking)
    if [ -n "$missing" ]; then
        say "this machine lacks: $missing(as root: apt-get install $missing)"
        exit 2
    fi
fi

if ! command -v go >/dev/null 2>&1; then
    say "this machine lacks Go 1.26 or newer (https://go.dev/dl, or golang-1.26-go from Debian)"
    exit 2
fi
mkdir -p "$bin"
exec 9>"$bin/.lock"
if ! flock -n 9; then
    say "another build runs in $bin; waiting for it"
    flock 9
fi
new=$bin/.new
rm -rf "$new"
mkdir -p "$new"
export CGO_ENABLED=0 GOBIN=$new GOFLAGS=${GOFLAGS:-}

build() { # group, what to expect, command...
    local group=$1 expect=$2 want=stamp_$1 start=$SECONDS pulse
    shift 2
    say "building $group: $expect"
    # `read` on a pipe that stays silent sleeps without a child process that could outlive this script.
    (while ! read -rt 30 <> <(:); do say "  $group: $((SECONDS - start)) s so far"; done) 9>&- >/dev/null &
    pulse=$!
    trap 'kill $pulse 2>/dev/null' EXIT
    if ! "$@" >&2; then
        say "$group did not build; the lines above say why"
        exit 1
    fi
    kill "$pulse"
    trap - EXIT
    mv "$new"/* "$bin/"
    echo "${!want}" >"$bin/.$group"
    say "built $group in $((SECONDS - start)) s"
}
# Without gitVersion the servers call themselves v0.0.0-master, which Helm and the kubelet's skew rules refuse.
build_kubernetes() {
    # shellcheck disable=SC2046
    (cd tests/kube && nice go build -mod=readonly -trimpath -o "$new/" \
        -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes" $(printf 'k8s.io/kubernetes/cmd/%s ' $tools))
}
build_helm() { nice go install -trimpath -ldflags "-s -w" "helm.sh/helm/v4/cmd/helm@$helm"; }
build_coredns() { nice go install -trimpath -ldflags "-s -w" "github.com/coredns/coredns@$coredns"; }
build_pause() { cc -static -Os -s -Wall -o "$new/pause" tests/kube/pause.c; }

for group in $(unbuilt); do
    case $group in
    kubernetes) build kubernetes "six binaries of $kubernetes, about 4 minutes on two idle cores" build_kubernetes ;;
    helm) build helm "$helm, about 1.5 minutes" build_helm ;;
    coredns) build coredns "$coredns, about 1.5 minutes" build_coredns ;;
    pause) build pause "a moment" build_pause ;;
    esac
done
rm -rf "$new"
echo "$bin"
