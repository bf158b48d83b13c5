//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The hooks: shims that fetch a call's arguments and hand them to the one call
 * path. User space loads the programs of one hook only.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "arch.h"
#include "callpath.h"
#include "group.h"
#include "histogram.h"
#include "iouring_events.h"
#include "iouring_function.h"
#include "kernel.h"
#include "maps.h"
#include "records.h"

/* Dual BSD/GPL is one of the strings that give a program the GPL-only helpers
 * (include/linux/license.h). */
char __license[] SEC("license") = "Dual BSD/GPL";

/* --- fentry/fexit: no cost to other system calls --- */

SEC("fentry/__sys_getsockopt")
int fentry_getsockopt(__u64 *args)
{
	__u64 pointers[2];

	/* Before 5.17 a program may not load arguments that point to plain types. */
	bpf_probe_read_kernel(pointers, sizeof(pointers), &args[3]);
	call_enter(args[0], args[1], args[2], pointers[0], pointers[1], entry_of_current());
	return 0;
}

SEC("fexit/__sys_getsockopt")
int fexit_getsockopt(__u64 *args)
{
	call_exit((__s32)args[5], false);
	return 0;
}

/* --- kprobes of the same function: multi (5.18) or one by one --- */

SEC("kprobe.multi/__sys_getsockopt")
int kprobe_multi_enter(struct pt_regs *ctx)
{
	call_enter(PARM1(ctx), PARM2(ctx), PARM3(ctx), PARM4(ctx), PARM5(ctx), entry_of_current());
	return 0;
}

SEC("kretprobe.multi/__sys_getsockopt")
int kprobe_multi_exit(struct pt_regs *ctx)
{
	call_exit((__s32)RETURNED(ctx), false);
	return 0;
}

SEC("kprobe/__sys_getsockopt")
int kprobe_enter(struct pt_regs *ctx)
{
	call_enter(PARM1(ctx), PARM2(ctx), PARM3(ctx), PARM4(ctx), PARM5(ctx), entry_of_current());
	return 0;
}

SEC("kretprobe/__sys_getsockopt")
int kprobe_exit(struct pt_regs *ctx)
{
	call_exit((__s32)RETURNED(ctx), false);
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
	call_exit(ctx->result, true);
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

/* Frames of their own: together the two would not fit on the stack. */
static __noinline int raw_returned(__s64 result)
{
	call_exit(result, true);
	return 0;
}

static __noinline int raw_uring_returned(void)
{
	uring_submitted_all();
	return 0;
}

SEC("tp_btf/sys_exit")
int raw_exit(__u64 *args)
{
	struct pt_regs *regs = (void *)args[0];
	__s64 number = number_of(regs);

	if (is_getsockopt(number)) {
		if (entry_of(regs, number) >= 0)
			raw_returned(args[1]);
	} else if (uring_return_seen && number == NR_IO_URING_ENTER) {
		raw_uring_returned();
	}
	return 0;
}

/* --- io_uring where functions can be traced: no cost to anything else --- */

SEC("fentry/io_uring_cmd_sock")
int fentry_io_uring(__u64 *args)
{
	uring_function_enter((void *)args[0], args[1]);
	return 0;
}

SEC("fexit/io_uring_cmd_sock")
int fexit_io_uring(__u64 *args)
{
	uring_function_exit((__s32)args[2]);
	return 0;
}

SEC("kprobe.multi/io_uring_cmd_sock")
int kprobe_multi_io_uring_enter(struct pt_regs *ctx)
{
	uring_function_enter((void *)PARM1(ctx), PARM2(ctx));
	return 0;
}

SEC("kretprobe.multi/io_uring_cmd_sock")
int kprobe_multi_io_uring_exit(struct pt_regs *ctx)
{
	uring_function_exit((__s32)RETURNED(ctx));
	return 0;
}

SEC("kprobe/io_uring_cmd_sock")
int kprobe_io_uring_enter(struct pt_regs *ctx)
{
	uring_function_enter((void *)PARM1(ctx), PARM2(ctx));
	return 0;
}

SEC("kretprobe/io_uring_cmd_sock")
int kprobe_io_uring_exit(struct pt_regs *ctx)
{
	uring_function_exit((__s32)RETURNED(ctx));
	return 0;
}

/* --- io_uring by its tracepoints: no cost to other system calls --- */

SEC("tp_btf/io_uring_submit_req")
int io_uring_submit(__u64 *args)
{
	uring_submit((void *)args[0]);
	return 0;
}

SEC("tp_btf/io_uring_req_failed")
int io_uring_failed(__u64 *args)
{
	uring_next();
	uring_reused((void *)args[1]); /* without being submitted */
	return 0;
}

SEC("tp_btf/io_uring_queue_async_work")
int io_uring_queue(__u64 *args)
{
	uring_queued((void *)args[0]);
	return 0;
}

SEC("tp_btf/io_uring_complete")
int io_uring_complete(__u64 *args)
{
	uring_completed((void *)args[1]);
	return 0;
}

SEC("tp_btf/io_uring_cqe_overflow")
int io_uring_overflow(__u64 *args)
{
	uring_overflowed(args[0], args[1]);
	return 0;
}

SEC("tp_btf/io_uring_cqring_wait")
int io_uring_wait(__u64 *args)
{
	uring_submitted_all();
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_io_uring_enter")
int tracepoint_io_uring_return(struct sys_exit_context *ctx)
{
	uring_submitted_all();
	return 0;
}

SEC("tp_btf/sched_process_exit")
int io_uring_task_exit(__u64 *args)
{
	uring_task_exited();
	return 0;
}

/* --- run by user space, for calls that are grouped by process --- */

SEC("raw_tp")
int group_runs(__u64 *args)
{
	return process_runs(args[0], args[1]);
}

/* --- for tests: where a duration is counted, by the code that counts --- */

SEC("raw_tp")
int bucket_test(__u64 *args)
{
	return bucket_slot(bucket_of(args[0]));
}
