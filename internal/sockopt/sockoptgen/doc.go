// SPDX-License-Identifier: Apache-2.0

// Command sockoptgen makes the table of socket options of package sockopt, in two
// steps:
//
//	go run ./internal/sockopt/sockoptgen -headers DIR[,DIR...]
//
// first writes options.txt, the union of what the headers of one or more kernels
// define. Without -headers, options.txt stays as it is committed, and the table is
// made of it and of the layouts in this package: this needs no network.
//
// A DIR is a UAPI root (/usr/include, or an unpacked linux-libc-dev) or the
// include directory of a linux-headers package, which also holds what the UAPI
// leaves out: Bluetooth, UDP-Lite, af_iucv. options.txt is made of Debian's
// linux-libc-dev and linux-headers packages for 5.10, 6.1, 6.12 and 7.2
// (headers.sh); options made of fewer lack what those lack.
package main
