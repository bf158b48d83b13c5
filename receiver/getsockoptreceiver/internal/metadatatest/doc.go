// SPDX-License-Identifier: Apache-2.0

// Package metadatatest is generated from metadata.yaml by mdatagen, for tests.
package metadatatest
