// SPDX-License-Identifier: Apache-2.0

// Package caller is a program for tests whose calls are known. A test binary starts itself
// as a process that makes calls with the results that are defined here, and exits.
package caller
