// SPDX-License-Identifier: Apache-2.0

// Package publisher finds the processes that publish their active span, and where in their
// memory it is. It reads files of the processes only, never their memory, by a worker that no
// file can hold up. Containers, units and users share its time.
package publisher
