// SPDX-License-Identifier: Apache-2.0

// Package sdnotifyextension tells systemd when the Collector is ready, for units of
// Type=notify. Contrib has an extension of this name after v0.160; use it once the
// distribution has a Collector that it fits.
package sdnotifyextension
