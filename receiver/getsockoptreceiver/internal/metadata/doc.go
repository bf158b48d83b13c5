// SPDX-License-Identifier: Apache-2.0

// Package metadata holds what mdatagen makes of metadata.yaml, and this file.
package metadata
