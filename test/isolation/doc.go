// SPDX-License-Identifier: Apache-2.0

// Package isolation holds the built Collector against programs that try to hide others:
// that invent options, services, processes and cgroups, and fail as fast as they can.
// Beside them other programs must keep their series, their names and their spans, and
// every number that was sent must be right.
package isolation
