// SPDX-License-Identifier: Apache-2.0

// Package otlpsink has the OTLP servers that the tests send to: they decode what
// arrives with the Collector's own pdata and hand it on. The sink of test/e2e is not
// made of it on purpose, see there.
package otlpsink
