#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# dpkg calls this with "remove" before a removal, rpm with 0. Before an upgrade the service
# keeps running.
set -e
case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
command -v systemctl >/dev/null || exit 0
if [ -d /run/systemd/system ]; then
	systemctl stop otelcol-getsockopt.service
fi
systemctl disable otelcol-getsockopt.service
