#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Boots the system in a folder with its systemd, as the first process of new namespaces:
#
#   unshare --pid --fork --mount --cgroup --uts --ipc --net boot.sh FOLDER
set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
ip link set lo up
# systemd asks this variable whether it runs in a container.
exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd
