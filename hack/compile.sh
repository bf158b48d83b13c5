#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Compiles a distribution that the Collector's builder has generated, and shows how far it
# is: the first time it takes minutes.
#
#   compile.sh FOLDER PROGRAM
set -eu
cd "$1"
packages=$(${GO:-go} list -deps . | wc -l)
echo "Compiling $packages packages of $2; what was compiled before is not compiled again."
# go build -v prints a line for each package; everything else it prints is an error.
{ ${GO:-go} build -v -trimpath -ldflags='-s -w' -o "$2" . 2>&1 && echo compiled; } | awk '
	$0 == "compiled" { done = 1; next }
	/^[^ :#]+$/ { if (++n % 100 == 0) print n " packages compiled"; next }
	{ print }
	END { exit !done }'
