// SPDX-License-Identifier: Apache-2.0

// Package metadatatest holds what mdatagen makes of metadata.yaml for tests.
package metadatatest
