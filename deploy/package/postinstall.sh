#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
set -e
unit=otelcol-getsockopt.service
new=
if [ -e /run/otelcol-getsockopt.new ]; then # by preinstall.sh
	rm /run/otelcol-getsockopt.new
	new=yes
fi

# Without systemd, as in a chroot, there is nothing to start.
command -v systemctl >/dev/null || exit 0
[ -z "$new" ] || systemctl enable "$unit"
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
# Debian's command respects policy-rc.d.
if command -v deb-systemd-invoke >/dev/null; then
	invoke=deb-systemd-invoke
else
	invoke=systemctl
fi
# A service that does not start is no reason to leave the package half installed.
if [ -n "$new" ]; then
	$invoke start "$unit" || echo "$unit did not start: see journalctl -u $unit" >&2
else
	$invoke try-restart "$unit" || echo "$unit did not restart: see journalctl -u $unit" >&2
fi
