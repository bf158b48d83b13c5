// SPDX-License-Identifier: Apache-2.0

// Package report is what the host and a guest exchange: the plan, put
// into the guest's file system, and results, one line of its console each.
package report
