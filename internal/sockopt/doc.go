// SPDX-License-Identifier: Apache-2.0

// Package sockopt holds the socket options of Linux: their names, the layouts of their
// values, and how values are formatted. It needs no privileges and no kernel.
//
// Options are found by level, number and address family in a table that
// internal/sockopt/sockoptgen makes of the kernel's UAPI headers (the union of 5.10 to
// 7.2), in the numbering of asm-generic/socket.h: that of the architectures the receiver
// runs on, which are 64-bit and little-endian. Each row has the [Layout] of the option's
// value. The BPF programs never copy a value without a layout.
//
// Decoders do not trust their input. They get the bytes that were copied and the length
// that the kernel returned, either of which may be too short, too long or wrong, and
// decode only fields that lie inside the bytes.
package sockopt

//go:generate go run ./sockoptgen -options sockoptgen/options.txt -o table_generated.go
