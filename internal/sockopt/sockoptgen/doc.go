// SPDX-License-Identifier: Apache-2.0

// Command sockoptgen writes the table of socket options of package sockopt
// from the headers of one or more kernels, as a union.
//
//	go run ./internal/sockopt/sockoptgen -headers DIR[,DIR...] [-o FILE]
//
// A DIR is a UAPI root (/usr/include, or an unpacked linux-libc-dev) or the
// include directory of a linux-headers package, which also holds what the UAPI
// leaves out: Bluetooth, UDP-Lite, af_iucv. The committed table is made of
// Debian's linux-libc-dev and linux-headers packages for 5.10, 6.1, 6.12 and
// 7.2; a table made of fewer lacks what those lack.
package main
