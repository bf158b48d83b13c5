// SPDX-License-Identifier: Apache-2.0

// Package metadata is generated from metadata.yaml by mdatagen.
package metadata
