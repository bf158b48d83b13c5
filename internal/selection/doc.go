// SPDX-License-Identifier: Apache-2.0

// Package selection turns what a user wrote under select into the rules that
// the kernel applies. It is pure.
package selection
