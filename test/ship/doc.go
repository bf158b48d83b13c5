// SPDX-License-Identifier: Apache-2.0

// Package ship tests what users install: the package in a freshly installed Debian with a
// booted systemd, and the image in containers with the privileges that Kubernetes and podman
// give, and on arm64. make test-ship builds them first.
package ship
