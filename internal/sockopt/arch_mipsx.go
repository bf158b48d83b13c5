// SPDX-License-Identifier: Apache-2.0

//go:build mips || mipsle || mips64 || mips64le

package sockopt

// MIPS swapped the first two (arch/mips/include/asm/socket.h).
var typeNames = enum{
	1: "SOCK_DGRAM", 2: "SOCK_STREAM", 3: "SOCK_RAW", 4: "SOCK_RDM",
	5: "SOCK_SEQPACKET", 6: "SOCK_DCCP", 10: "SOCK_PACKET",
}

// errHWPoison is EHWPOISON, which package syscall leaves out.
const errHWPoison = 168
