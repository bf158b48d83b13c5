// SPDX-License-Identifier: Apache-2.0

// Package verifier measures what a BPF program costs the kernel's verifier.
package verifier
