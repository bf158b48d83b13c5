// SPDX-License-Identifier: Apache-2.0

// Package getsockoptreceiver is an OpenTelemetry Collector receiver that turns
// every getsockopt(2) call of a Linux host into a span and into metrics.
package getsockoptreceiver

// mdatagen names the package after its folder, hence the second line.
//go:generate go tool -modfile=../tools/go.mod mdatagen metadata.yaml
//go:generate sed -i "s/^package receiver$/package getsockoptreceiver/" generated_component_test.go generated_config.go generated_config_test.go generated_package_test.go
