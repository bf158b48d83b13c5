// SPDX-License-Identifier: Apache-2.0

// Package structure tests what holds for the repository as a whole: which
// package may import which, and that what the README describes can be done can be.
package structure
