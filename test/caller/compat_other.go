// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package caller

// Compat needs a program of its own where a 64-bit one cannot make 32-bit calls.
func Compat(int) { fatal("this architecture's 64-bit programs make no 32-bit calls") }
