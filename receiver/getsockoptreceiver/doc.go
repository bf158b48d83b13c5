// SPDX-License-Identifier: Apache-2.0

// Package getsockoptreceiver is an OpenTelemetry Collector receiver that makes a span and
// metrics of every getsockopt(2) call of a Linux host.
package getsockoptreceiver

//go:generate go tool -modfile=../../tools/go.mod mdatagen metadata.yaml
