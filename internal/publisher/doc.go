// SPDX-License-Identifier: Apache-2.0

// Package publisher finds the processes that publish their active span, and where in their
// memory it is. It reads files of the processes only, never their memory, by a worker that
// gives up a file which does not answer.
package publisher
