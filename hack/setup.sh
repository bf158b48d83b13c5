#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Looks for what the tests need beyond Go and a C compiler, and reports what is
# missing with the Debian package that has it.
#
#   setup.sh          for all tests; installs what is missing, as root on Debian
#   setup.sh kernels  the same, and for the virtual machines as well
#   setup.sh ship     for make test-ship
#   setup.sh check    for make check; installs nothing
#   setup.sh unit     for make test-unit; installs nothing
set -eu

# What is looked for, what it is for, and the Debian packages that have it.
unit="\
header linux/tcp.h|describes the options' values|linux-libc-dev
command strace|names the options as well|strace
command ss|describes sockets as well|iproute2"

check="\
command git|lists the files to check|git
command ${BPF_CLANG:-clang-16}|compiles the BPF programs|clang-16
command ${BPF_STRIP:-llvm-strip-16}|strips the BPF objects|llvm-16
command ${CLANG_FORMAT:-clang-format-16}|formats C|clang-format-16
command shellcheck|checks shell scripts|shellcheck
command promtool|checks alerts|prometheus
command node|checks TraceQL queries, and makes calls that are compared|nodejs
command npm|fetches the grammar of TraceQL|npm
header bpf/bpf_helpers.h|declares the BPF helpers|libbpf-dev"

tests="\
command prometheus|stores the metrics|prometheus
command curl|makes calls that are compared|curl
command ssh|makes calls that are compared|openssh-client
command sshd|makes calls that are compared|openssh-server
command nginx|makes calls that are compared|nginx-light
command python3|makes calls that are compared|python3
command redis-server|makes calls that are compared|redis-server redis-tools
command haproxy|makes calls that are compared|haproxy
command podman|makes containers|podman
command runc|makes containers|runc
command musl-gcc|builds programs with another C library|musl-tools
command ip|makes network namespaces|iproute2
command nft|redirects connections|nftables"

kernels="\
command qemu-system-x86_64|runs kernels for amd64|qemu-system-x86
command qemu-system-aarch64|runs kernels for arm64|qemu-system-arm
command x86_64-linux-gnu-gcc|compiles programs for amd64|gcc-x86-64-linux-gnu libc6-dev-amd64-cross
command i686-linux-gnu-gcc|compiles programs for i386|gcc-i686-linux-gnu libc6-dev-i386-cross
command aarch64-linux-gnu-gcc|compiles programs for arm64|gcc-aarch64-linux-gnu libc6-dev-arm64-cross
command arm-linux-gnueabihf-gcc|compiles programs for armhf|gcc-arm-linux-gnueabihf libc6-dev-armhf-cross"

ship="\
command debootstrap|installs Debian in a folder|debootstrap
command podman|runs the image|podman
command runc|runs the image|runc
command rpm|reads the rpm|rpm
command qemu-system-aarch64|runs the image on arm64|qemu-system-arm
command aarch64-linux-gnu-gcc|compiles programs for arm64|gcc-aarch64-linux-gnu libc6-dev-arm64-cross
command arm-linux-gnueabihf-gcc|compiles programs for armhf|gcc-arm-linux-gnueabihf libc6-dev-armhf-cross"

newline='
'
install=yes
case ${1-} in
unit) needed=$unit install=no ;;
check) needed=$check install=no ;;
ship) needed=$ship ;;
kernels) needed=$unit$newline$check$newline$tests$newline$kernels ;;
'') needed=$unit$newline$check$newline$tests ;;
*)
	echo "usage: $0 [unit|check|kernels|ship]" >&2
	exit 2
	;;
esac

if ! command -v cc >/dev/null; then
	echo "A C compiler is missing: install gcc, or another one that is called cc." >&2
	exit 1
fi

# present looks for a command or a header.
present() {
	case $1 in
	# Servers are in sbin, which not every user's path has.
	command) PATH=$PATH:/usr/sbin:/sbin command -v "$2" >/dev/null ;;
	header) printf '#include <%s>\n' "$2" | cc -E - >/dev/null 2>&1 ;;
	esac
}

missing() {
	echo "$needed" | while IFS='|' read -r what why packages; do
		# shellcheck disable=SC2086
		present $what || echo "$what|$why|$packages"
	done
}

absent=$(missing)
if [ -n "$absent" ] && [ $install = yes ] && [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
	export DEBIAN_FRONTEND=noninteractive
	# The tests start the servers that they need; the packages must not.
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod +x /usr/sbin/policy-rc.d
	fi
	apt-get -q -o Acquire::Retries=3 update
	# shellcheck disable=SC2046
	apt-get -q -o Acquire::Retries=3 install -y --no-install-recommends $(echo "$absent" | cut -d '|' -f 3)
	absent=$(missing)
fi

if [ -n "$absent" ]; then
	echo "This is missing:" >&2
	echo "$absent" | while IFS='|' read -r what why packages; do
		echo "  the $what, which $why (Debian: $packages)" >&2
	done
	exit 1
fi
