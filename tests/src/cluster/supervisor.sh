#!/bin/sh
# One cluster's supervisor: makes the sandbox, waits for its end, and removes every trace of it.
#
# Invariant: whatever way the test process ends, nothing stays. Standard input is a pipe whose only writer is the test
# process, and the first process of the sandbox's PID namespace (init.sh) reads it: at its end that process leaves, and
# the kernel then kills everything in the namespace, which takes the network and mount namespaces along. What the kernel
# does not take (cgroups, the veth pair's name, files) is removed here. Should this very process be killed, the next
# supervisor on the machine does it: a slot's file that nobody holds locked is a cluster that is gone.
#
#   supervisor.sh STATE_DIR     prints "ready SLOT PID" (PID: the sandbox's first process) once commands are read
set -eu
state=$1
slots=/run/zkinfer-cluster-
exec 3<&0 </dev/null

# Where a kubelet makes its cgroups: one folder per controller (v1) or the one hierarchy (v2).
cgroup_roots() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo /sys/fs/cgroup
    else
        find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d
    fi
}

# True if the slot is now ours; descriptor 9 holds it for as long as this process or the sandbox's first one lives. The
# second test is for a file that its owner removed between our open and our lock.
claim() {
    exec 9>>"$slots$1"
    if flock -n 9 && [ "$slots$1" -ef /proc/self/fd/9 ]; then return 0; fi
    exec 9>&-
    return 1
}

# Removes what a slot's cluster left, whose processes are gone. Logs stay if the test asked for it by the file `keep`.
remove() {
    ip link del "zk$1" 2>/dev/null || :
    for root in $(cgroup_roots); do
        tries=0 # a cgroup can stay busy for a moment after its last process has gone
        while [ -d "$root/zkinfer-$1" ] && [ $tries -lt 100 ]; do
            find "$root/zkinfer-$1" -depth -type d -exec rmdir {} \; 2>/dev/null || :
            [ ! -d "$root/zkinfer-$1" ] || sleep 0.05
            tries=$((tries + 1))
        done
    done
    case $2 in
    */zkinfer-cluster-*)
        # What a test has mounted in the folder.
        while read -r _ mounted _; do
            case $mounted in "$2"/*) umount -l "$mounted" || : ;; esac
        done </proc/self/mounts
        if [ -e "$2/keep" ]; then
            find "$2" -xdev -mindepth 1 -maxdepth 1 ! -name log -exec rm -rf --one-file-system {} + || :
        else
            rm -rf --one-file-system "$2" || :
        fi
        ;;
    esac
    rm -f "$slots$1"
}

for file in "$slots"*; do
    n=${file#"$slots"}
    [ -e "$file" ] || continue
    (if claim "$n"; then remove "$n" "$(cat "$file")"; fi)
done

n=1
until claim $n; do
    n=$((n + 1))
    [ $n -le 250 ] || { echo "250 clusters run already" >&2; exit 1; }
done
echo "$state" >"$slots$n"
trap 'remove $n "$state"' EXIT

for root in $(cgroup_roots); do
    # v2: the kubelet finds these controllers only if they are handed down. v1: an empty cpuset admits no process.
    if [ "$root" = /sys/fs/cgroup ]; then
        for controller in cpuset cpu io memory pids; do
            grep -qw $controller "$root/cgroup.subtree_control" || echo +$controller >"$root/cgroup.subtree_control" || :
        done
    fi
    mkdir -p "$root/zkinfer-$n"
    for file in cpuset.cpus cpuset.mems; do
        [ ! -f "$root/$file" ] || cat "$root/$file" >"$root/zkinfer-$n/$file" 2>/dev/null || :
    done
done

unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
    bash "$state/init.sh" "$state" <&3 &
child=$!
tries=0
until [ -e "$state/sandbox.ready" ]; do
    [ -d /proc/$child ] && [ $tries -lt 500 ] || { echo "the sandbox did not start" >&2; exit 1; }
    tries=$((tries + 1))
    sleep 0.02
done
read -r init _ </proc/$child/task/$child/children || [ -n "$init" ] # the line has no end

# The only way in and out: the API server at .1 inside, the test process at .2 outside. No route leads further; services
# have one so that processes of the sandbox reach them as pods do.
ip link add "zk$n" type veth peer name eth0 netns "$init"
ip addr add "10.213.$n.2/30" dev "zk$n"
ip link set "zk$n" up
nsenter --net="/proc/$init/ns/net" ip -batch - <<LINES
addr add 10.213.$n.1/30 dev eth0
link set eth0 up
route add 10.96.0.0/24 dev eth0
LINES
echo "ready $n $init"
exec 1>&2
wait $child || :
