// SPDX-License-Identifier: Apache-2.0

// Statusprogram is a Collector of one receiver, which reports the status that each line of
// the standard input names, and of the extension that answers to kubelet. No component of the
// distributions reports a permanent error while the Collector runs.
package main
