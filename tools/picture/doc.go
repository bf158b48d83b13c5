// SPDX-License-Identifier: Apache-2.0

// picture takes a picture of a trace on a page of Jaeger, with the tags of one span open,
// in a headless Chromium.
package main
