// SPDX-License-Identifier: Apache-2.0

// Package bpf has the kernel side: the C sources, the objects compiled from them for
// each architecture, and the Go types that both sides share. The objects are
// committed, so that building the receiver needs no clang. A test compiles the
// sources again and compares the objects.
package bpf

//go:generate go tool -modfile=../tools/go.mod bpf2go -cc $BPF_CLANG -strip $BPF_STRIP -target amd64,arm64 -go-package bpf -type call_record -type process_record -type record_header -type process_key -type setting -type sampler -type span_parent -type process_context Getsockopt getsockopt.bpf.c -- -O2 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter $BPF_INCLUDE
