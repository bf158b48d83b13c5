// SPDX-License-Identifier: Apache-2.0

// Semconvgen generates the constants of internal/semconv and the tables of
// docs/semantics.md from the registry in model/. With -upstream it copies the attributes of
// OpenTelemetry's registry to which this one refers, from a folder such as model/ of
// open-telemetry/semantic-conventions at the version of manifest.yaml. It runs in
// internal/semconv.
package main
