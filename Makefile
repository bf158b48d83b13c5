# SPDX-License-Identifier: Apache-2.0

BPF_CLANG ?= clang-16
BPF_STRIP ?= llvm-strip-16
BPF_INCLUDE ?= -I/usr/include/$(shell uname -m)-linux-gnu
export BPF_CLANG BPF_STRIP BPF_INCLUDE

.PHONY: generate-bpf
generate-bpf:
	go generate ./bpf
