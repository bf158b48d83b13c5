// SPDX-License-Identifier: Apache-2.0

// Package path runs the receiver's BPF programs in an interpreter and counts
// what a call executes: instructions, and calls of kernel helpers. The counts
// depend on the committed objects alone, not on the kernel nor on how busy the
// host is, so a test can hold them.
package path
