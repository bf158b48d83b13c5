// SPDX-License-Identifier: Apache-2.0

//go:build !(mips || mipsle || mips64 || mips64le)

package sockopt

var typeNames = enum{
	1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 4: "SOCK_RDM",
	5: "SOCK_SEQPACKET", 6: "SOCK_DCCP", 10: "SOCK_PACKET",
}

// errHWPoison is EHWPOISON, which package syscall leaves out.
const errHWPoison = 133
