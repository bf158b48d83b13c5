// SPDX-License-Identifier: Apache-2.0

// Command dashboards writes the Grafana dashboards of deploy/grafana. It is a module of its
// own for the sake of Grafana's library, which has the format of a dashboard as types.
package main
