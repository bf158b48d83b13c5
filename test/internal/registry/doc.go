// SPDX-License-Identifier: Apache-2.0

// Package registry checks what the receiver emits against the registry in model/:
// every name is there, with its type, and every value of an enumeration.
package registry
