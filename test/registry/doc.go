// SPDX-License-Identifier: Apache-2.0

// Package registry tests that code, metadata.yaml and documents agree with the
// registry in model/. That its constants and tables are what it makes now is
// tested in test/generated.
package registry
