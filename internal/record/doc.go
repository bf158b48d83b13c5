// SPDX-License-Identifier: Apache-2.0

// Package record turns the bytes that cross the BPF ring into Go values. It is
// pure: no privileges, no kernel, no clock. The layouts are those of
// bpf/records.h.
package record
