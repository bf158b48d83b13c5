// SPDX-License-Identifier: Apache-2.0

// manifests checks Kubernetes' manifests as strictly as the types of its API allow: an
// unknown or repeated field, or a value of another type, is an error.
package main
