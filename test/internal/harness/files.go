// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
)

// File is the path of a file of the repository.
func File(name string) string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..", "..", name)
}

// Collector is the path of the built Collector.
func Collector() (string, error) { return built("dist/otelcol-getsockopt", "build") }

// CollectorK8s is the path of the built Collector for Kubernetes.
func CollectorK8s() (string, error) { return built("dist-k8s/otelcol-getsockopt-k8s", "build-k8s") }

// CollectorGateway is the path of the built Collector for gateways.
func CollectorGateway() (string, error) {
	return built("dist-gateway/otelcol-getsockopt-gateway", "build-gateway")
}

// Jaeger is the path of the built Jaeger.
func Jaeger() (string, error) { return built(".cache/jaeger", "jaeger") }

func built(name, target string) (string, error) {
	path := File(name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run `make %s`, or `make test`, which does", err, target)
	}
	return path, nil
}

// FreeAddress is an address of the loopback that nobody listens at.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
