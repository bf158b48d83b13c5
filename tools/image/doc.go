// SPDX-License-Identifier: Apache-2.0

// image writes the image of the Collector for Kubernetes, for each architecture, as an OCI
// layout. The image has the Collector, its configuration, its SBOM and the certificates of
// Mozilla's authorities, and nothing else.
package main
