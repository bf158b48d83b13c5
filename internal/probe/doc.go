// SPDX-License-Identifier: Apache-2.0

// Package probe owns every kernel object of the receiver: it checks what the
// host offers, loads and attaches the BPF programs, hands out records, series
// and counters, and leaves nothing behind. Linux 5.10 and later.
package probe
