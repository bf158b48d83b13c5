#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# dpkg calls this with "install", also after a removal, or with "upgrade"; rpm with the
# number of installed versions. postinstall.sh cannot tell the first two apart.
set -e
case "$1" in
install | 1) : >/run/otelcol-getsockopt.new ;;
esac
