// SPDX-License-Identifier: Apache-2.0

// guest is the first program of a test machine: it carries out the plan it
// finds, prints each result on the console, and powers the machine off.
package main
