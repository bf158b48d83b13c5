// SPDX-License-Identifier: Apache-2.0

// Package sockopt knows the socket options of Linux: their names, how the
// bytes of their values are laid out, and how a person writes those values. It
// is pure: functions over numbers, bytes and tables, no privileges, no kernel.
//
// Options are named by level, number, address family and architecture, from a
// table that internal/sockopt/sockoptgen makes of the kernel's UAPI headers (5.10 to 7.2,
// as a union). Each row carries its value's [Layout]; a row without one shows
// its length only, and the kernel side never copies its bytes.
//
// Decoders trust nothing. They get the bytes that were copied and the length
// that the kernel returned, either of which may be short, over-long or wrong,
// and show what is certainly there: fields that lie wholly inside the bytes.
package sockopt

//go:generate go run ./sockoptgen -options sockoptgen/options.txt -o table_generated.go
