// SPDX-License-Identifier: Apache-2.0

// Package publisher tests that each span has the parent that its program had: with programs
// that publish their active span, and print the one that each of their calls was made in.
package publisher
