// SPDX-License-Identifier: Apache-2.0

// Package generated tests that the committed files which are made from others
// are what `make generate` makes now. It needs what `make setup` installs.
package generated
