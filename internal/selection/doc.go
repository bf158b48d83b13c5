// SPDX-License-Identifier: Apache-2.0

// Package selection compiles the configuration under select into the rules that the BPF
// programs apply. It needs no privileges and no kernel.
//
// Executables are selected by globs, because users name programs that way (python3*,
// [kw]orker), and a name is at most 255 bytes. The BPF programs evaluate a glob as a
// table, one lookup for each byte of the name: the verifier of Linux 5.10 would have to
// follow every branch of a backtracking matcher, and maps that match prefixes
// (BPF_MAP_TYPE_LPM_TRIE) cannot express character classes or inner stars. They are
// evaluated once for each process image, not for each call. See [Glob].
package selection
