// SPDX-License-Identifier: Apache-2.0

// Package empty holds BPF programs that do nothing, or read the clock and nothing else,
// with which the benchmark compares the receiver's.
package empty

//go:generate go tool -modfile=../../../tools/go.mod bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target amd64,arm64 -go-package empty Empty empty.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter $BPF_INCLUDE
