// SPDX-License-Identifier: Apache-2.0

// Package tlsvariable finds out from an ELF file how the threads of a process reach a
// thread-local variable. It follows the ELF specification's TLS supplement and reads few
// parts of a file, of any size and contents.
package tlsvariable
