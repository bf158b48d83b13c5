// SPDX-License-Identifier: Apache-2.0

// picture takes a picture of a trace on a page of Jaeger, with the tags of the last span
// of a getsockopt call open, in a headless Chromium.
package main
