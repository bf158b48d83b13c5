// SPDX-License-Identifier: Apache-2.0

// Package workload says who made a call: it turns what the kernel knows of a
// process, or of the group that its calls are counted under, into the
// attributes of an OpenTelemetry resource. It knows nothing of pdata, so that
// spans and metrics share it.
package workload
