// SPDX-License-Identifier: Apache-2.0

// Package threadcontext builds programs that publish the contexts of their threads, in each
// model of thread-local storage that OTEP 4947 names.
package threadcontext
