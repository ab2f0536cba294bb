#!/bin/bash
# The first process of a cluster's PID, mount and network namespaces: when it ends, the kernel ends all the others.
# It is bash because bash reaps orphans (container shims) while it waits for input.
#
#   init.sh STATE_DIR <PIPE     each line names a file of STATE_DIR/run to start; the end of input is the end of all
set -eu
state=$1

# Paths that the kubelet, containerd, runc and CNI write to whatever they are told.
for dir in /run /var/lib /var/log; do
    mount -t tmpfs -o mode=755 tmpfs $dir
done
mkdir -p /run/lock /run/netns /run/shadow /run/etcd /var/lib/cni /var/lib/kubelet /var/log/pods /var/log/containers

# The kubelet demands these values of the machine and sets them where they differ. It finds them satisfied by files that
# lie over the real ones in this mount namespace only, so the machine's own values never change.
while read -r key value; do
    file=/run/shadow/${key//\//.}
    echo "$value" >"$file"
    [ ! -e "/proc/sys/$key" ] || mount --bind "$file" "/proc/sys/$key"
done <<'LINES'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
LINES

ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
: >"$state/sandbox.ready"

while read -r name; do
    # Descriptor 9 is the lock of the slot, which only this process keeps.
    bash "$state/run/$name" </dev/null >>"$state/log/$name.log" 2>&1 9>&- &
done
