// SPDX-License-Identifier: Apache-2.0

// Package otlpsink is the OTLP/HTTP server that the tests send to: it decodes what
// arrives with the Collector's own pdata and hands it on. The sink of test/e2e is not
// made of it on purpose, see there.
package otlpsink
