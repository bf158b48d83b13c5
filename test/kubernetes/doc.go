// SPDX-License-Identifier: Apache-2.0

// Package kubernetes runs the Collector for Kubernetes with config/kubernetes.yaml, as on
// a node: an API server that knows pods, and containers of podman and runc in cgroups as
// kubelet makes them. It checks what spans and metrics tell about the pods.
package kubernetes
