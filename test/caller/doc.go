// SPDX-License-Identifier: Apache-2.0

// Package caller is the known program of the tests: a test binary that starts
// itself again becomes a process that makes calls whose outcome is written
// down here, and exits at once.
package caller
