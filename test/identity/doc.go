// SPDX-License-Identifier: Apache-2.0

// Package identity holds the identity that the receiver gives a process to what
// the kernel shows to the process itself: one in spans, metrics and select.
package identity
