// SPDX-License-Identifier: Apache-2.0

// Package record decodes the records of the BPF ring buffer, and defines the counts that
// the BPF programs keep. It needs no privileges, no kernel and no clock. The layouts are
// those of bpf/records.h.
package record
