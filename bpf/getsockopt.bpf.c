//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The hooks: shims that fetch a call's arguments and hand them to the one call
 * path. User space loads the programs of one hook only.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "kernel.h"
#include "records.h"
#include "maps.h"
#include "histogram.h"
#include "process.h"
#include "socket.h"
#include "callpath.h"
#include "arch.h"

/* Dual BSD/GPL is one of the strings that give a program the GPL-only helpers
 * (include/linux/license.h). */
char __license[] SEC("license") = "Dual BSD/GPL";

/* --- fentry/fexit: no cost to other system calls --- */

SEC("fentry/__sys_getsockopt")
int fentry_getsockopt(__u64 *args)
{
	call_enter(args[0], args[1], args[2], args[3], args[4], entry_of_current());
	return 0;
}

SEC("fexit/__sys_getsockopt")
int fexit_getsockopt(__u64 *args)
{
	call_exit((__s32)args[5]);
	return 0;
}

/* --- tracepoints syscalls:sys_{enter,exit}_getsockopt: 64-bit calls only --- */

/* Their contexts are the same on every 64-bit architecture: perf_syscall_enter
 * and perf_syscall_exit in kernel/trace/trace_syscalls.c. */
struct sys_enter_context {
	__u64 common;
	__s64 number;
	__u64 args[5];
};

struct sys_exit_context {
	__u64 common;
	__s64 number;
	__s64 result;
};

SEC("tracepoint/syscalls/sys_enter_getsockopt")
int tracepoint_enter(struct sys_enter_context *ctx)
{
	call_enter(ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3], ctx->args[4],
		   ENTRY_SYSCALL);
	return 0; /* nothing for perf's own buffers */
}

SEC("tracepoint/syscalls/sys_exit_getsockopt")
int tracepoint_exit(struct sys_exit_context *ctx)
{
	call_exit(ctx->result);
	return 0;
}

/* --- raw sys_enter/sys_exit: every call, at a cost to every system call --- */

SEC("tp_btf/sys_enter")
int raw_enter(__u64 *args)
{
	struct pt_regs *regs = (void *)args[0];
	struct call_arguments a;
	int entry;

	if (!is_getsockopt(args[1]))
		return 0;
	entry = entry_of(regs, args[1]);
	if (entry >= 0 && read_arguments(regs, entry, &a))
		call_enter(a.fd, a.level, a.option, a.value, a.length, entry);
	return 0;
}

SEC("tp_btf/sys_exit")
int raw_exit(__u64 *args)
{
	struct pt_regs *regs = (void *)args[0];
	__s64 number = number_of(regs);

	if (is_getsockopt(number) && entry_of(regs, number) >= 0)
		call_exit(args[1]);
	return 0;
}
