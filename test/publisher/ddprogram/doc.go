// SPDX-License-Identifier: Apache-2.0

// Command ddprogram is a program with dd-trace-go, which publishes its resource by OTEP 4719.
// For each line of its standard input, with the number of an option, it makes a getsockopt
// call. Its service is named in code. It needs no agent. It is a module of its own: nothing
// else needs its libraries.
package main
