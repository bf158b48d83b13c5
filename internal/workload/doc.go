// SPDX-License-Identifier: Apache-2.0

// Package workload describes who made a call: it converts a process record, or the group
// that calls are counted under, to the attributes of an OpenTelemetry resource. It reads
// /proc for what the BPF programs could not read. It does not depend on pdata, so that
// spans and metrics share it.
package workload
