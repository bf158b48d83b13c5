// SPDX-License-Identifier: Apache-2.0

// kernels runs the receiver's tests on the kernels it supports: it boots each
// in a virtual machine, tries every hook with every entry point, and compares the
// outcomes with a table. Run it in the repository's root; docs/kernels.md.
package main
