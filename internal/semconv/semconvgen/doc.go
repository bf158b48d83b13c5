// SPDX-License-Identifier: Apache-2.0

// Semconvgen makes what depends on the registry in model/: the constants of
// internal/semconv and the tables of docs/semantics.md. With -upstream it copies
// what the registry refers to of OpenTelemetry's own, from a folder such as
// model/ of open-telemetry/semantic-conventions at the version of manifest.yaml.
// It runs in internal/semconv.
package main
