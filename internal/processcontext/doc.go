// SPDX-License-Identifier: Apache-2.0

// Package processcontext decodes process contexts: the resource that a program's SDK publishes
// in the program's memory, as OTEP 4719 defines it. The BPF programs read and check the header
// (bpf/process_context.h).
package processcontext
