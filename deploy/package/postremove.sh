#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
