// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package caller

// Compat fails: on this architecture only a 32-bit program can make 32-bit calls.
func Compat(int) { fatal("this architecture's 64-bit programs make no 32-bit calls") }
