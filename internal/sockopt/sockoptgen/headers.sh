#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Fetches the headers that the table is made of, from Debian 11, 12, 13 and
# unstable, and prints their roots, comma-separated, for sockoptgen -headers.
# The system's apt keeps its configuration: lists and packages go to the
# directory given, or to a new one below /tmp.
set -eu

dir=${1:-$(mktemp -d)}
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
dir=$(cd "$dir" && pwd)

# apt, not the shell, expands REPO_URI.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
for suite in bullseye bookworm trixie sid; do
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done >"$dir/sources.list"

apt() {
	command=$1
	shift
	"$command" -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root "$@"
}

apt apt-get -qq update >&2

# The newest linux-libc-dev of each suite, and the linux-headers package with
# the same version: the latter has what the UAPI leaves out (Bluetooth).
roots=
for suite in bullseye bookworm trixie sid; do
	version=$(apt apt-cache madison linux-libc-dev | awk -F'|' -v s="$suite/main" '$3 ~ s {gsub(/ /, "", $2); print $2; exit}')
	common=$(apt apt-cache dumpavail | awk -v v="$version" '
		/^Package: linux-headers-.*-common$/ {p = $2}
		/^Version: / && $2 == v && p {print p; exit}
		/^$/ {p = ""}')
	mkdir -p "$dir/$suite"
	(
		cd "$dir/$suite"
		apt apt-get -qq download "linux-libc-dev=$version" "$common=$version" >&2
		for package in *.deb; do dpkg-deb -x "$package" .; done
	)
	roots=$roots,$dir/$suite/usr/include,$(echo "$dir/$suite"/usr/src/linux-headers-*-common/include)
done
echo "${roots#,}"
