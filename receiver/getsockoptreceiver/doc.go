// SPDX-License-Identifier: Apache-2.0

// Package getsockoptreceiver is an OpenTelemetry Collector receiver that turns
// every getsockopt(2) call of a Linux host into a span and into metrics.
package getsockoptreceiver

//go:generate go tool -modfile=../../tools/go.mod mdatagen metadata.yaml
