// SPDX-License-Identifier: Apache-2.0

// Command sockoptgen generates the table of socket options of package sockopt, in two
// steps:
//
//	go run ./internal/sockopt/sockoptgen -headers DIR[,DIR...]
//
// first writes options.txt, the union of the options that the headers of one or more
// kernels define. Without -headers it uses the committed options.txt. It then generates
// the table from options.txt and the layouts in this package, without network access.
//
// A DIR is a UAPI root (/usr/include, or an unpacked linux-libc-dev) or the
// include directory of a linux-headers package, which also holds what the UAPI
// leaves out: Bluetooth, UDP-Lite, af_iucv. The committed options.txt is made from Debian's
// linux-libc-dev and linux-headers packages for 5.10, 6.1, 6.12 and 7.2 (headers.sh).
package main
