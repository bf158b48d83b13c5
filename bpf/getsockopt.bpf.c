//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The programs of the hooks. They pass a call's arguments to the common call path. User
 * space loads the programs of one hook only.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h" /* first: it sets how bpf_tracing.h names registers */
#include <bpf/bpf_tracing.h>

#include "arch.h"
#include "callpath.h"
#include "context_events.h"
#include "group.h"
#include "histogram.h"
#include "iouring_events.h"
#include "iouring_function.h"
#include "maps.h"
#include "process_check.h"
#include "records.h"

/* One of the licences with which a program may call GPL-only helpers
 * (include/linux/license.h). */
char __license[] SEC("license") = "Dual BSD/GPL";

/* --- fentry and fexit: no cost to other system calls --- */

SEC("fentry/__sys_getsockopt")
int BPF_PROG(fentry_getsockopt, int fd, int level, int optname)
{
	__u64 pointers[2];

	/* Before 5.17 a program may not load arguments that point to plain types. fexit
	 * only names them: what is unused is not loaded. */
	bpf_probe_read_kernel(pointers, sizeof(pointers), &ctx[3]);
	call_enter(fd, level, optname, pointers[0], pointers[1], entry_of_current());
	return 0;
}

SEC("fexit/__sys_getsockopt")
int BPF_PROG(fexit_getsockopt, int fd, int level, int optname, char *optval, int *optlen, int ret)
{
	call_exit(ret, false);
	return 0;
}

/* --- kprobe.multi (5.18) and kprobe of the same function --- */

SEC("kprobe.multi/__sys_getsockopt")
int BPF_KPROBE(kprobe_multi_enter, int fd, int level, int optname, __u64 optval, __u64 optlen)
{
	call_enter(fd, level, optname, optval, optlen, entry_of_current());
	return 0;
}

SEC("kretprobe.multi/__sys_getsockopt")
int BPF_KRETPROBE(kprobe_multi_exit, int ret)
{
	call_exit(ret, false);
	return 0;
}

SEC("kprobe/__sys_getsockopt")
int BPF_KPROBE(kprobe_enter, int fd, int level, int optname, __u64 optval, __u64 optlen)
{
	call_enter(fd, level, optname, optval, optlen, entry_of_current());
	return 0;
}

SEC("kretprobe/__sys_getsockopt")
int BPF_KRETPROBE(kprobe_exit, int ret)
{
	call_exit(ret, false);
	return 0;
}

/* --- tracepoints syscalls:sys_{enter,exit}_getsockopt: 64-bit calls only --- */

/* The contexts that perf_syscall_enter() and perf_syscall_exit() pass, in
 * kernel/trace/trace_syscalls.c, are the same on every 64-bit architecture. */
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
	return 0; /* no event for perf's own buffers */
}

SEC("tracepoint/syscalls/sys_exit_getsockopt")
int tracepoint_exit(struct sys_exit_context *ctx)
{
	call_exit(ctx->result, true);
	return 0;
}

/* --- raw sys_enter/sys_exit: every call, at a cost to every system call --- */

SEC("tp_btf/sys_enter")
int BPF_PROG(raw_enter, struct pt_regs *regs, long id)
{
	struct call_arguments a;
	int entry;

	if (!is_getsockopt(id))
		return 0;
	entry = entry_of(regs, id);
	if (entry >= 0 && read_arguments(regs, entry, &a))
		call_enter(a.fd, a.level, a.option, a.value, a.length, entry);
	return 0;
}

/* Not inlined: the frames of both together would exceed the stack. */
static __noinline int raw_getsockopt_exit(long ret)
{
	call_exit(ret, true);
	return 0;
}

static __noinline int raw_io_uring_exit(void)
{
	uring_submitted_all();
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(raw_exit, struct pt_regs *regs, long ret)
{
	__s64 number = number_of(regs);

	if (is_getsockopt(number)) {
		if (entry_of(regs, number) >= 0)
			raw_getsockopt_exit(ret);
	} else if (uring_return_seen && number == NR_IO_URING_ENTER) {
		raw_io_uring_exit();
	}
	return 0;
}

/* --- io_uring by its function: no cost to other commands --- */

SEC("fentry/io_uring_cmd_sock")
int BPF_PROG(fentry_io_uring, struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	uring_function_enter((void *)cmd, issue_flags);
	return 0;
}

SEC("fexit/io_uring_cmd_sock")
int BPF_PROG(fexit_io_uring, struct io_uring_cmd *cmd, unsigned int issue_flags, int ret)
{
	uring_function_exit(ret);
	return 0;
}

SEC("kprobe.multi/io_uring_cmd_sock")
int BPF_KPROBE(kprobe_multi_io_uring_enter, struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	uring_function_enter((void *)cmd, issue_flags);
	return 0;
}

SEC("kretprobe.multi/io_uring_cmd_sock")
int BPF_KRETPROBE(kprobe_multi_io_uring_exit, int ret)
{
	uring_function_exit(ret);
	return 0;
}

SEC("kprobe/io_uring_cmd_sock")
int BPF_KPROBE(kprobe_io_uring_enter, struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	uring_function_enter((void *)cmd, issue_flags);
	return 0;
}

SEC("kretprobe/io_uring_cmd_sock")
int BPF_KRETPROBE(kprobe_io_uring_exit, int ret)
{
	uring_function_exit(ret);
	return 0;
}

/* --- io_uring by its tracepoints: no cost to other system calls --- */

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(io_uring_submit, struct io_kiocb *req)
{
	uring_submit(req);
	return 0;
}

SEC("tp_btf/io_uring_req_failed")
int BPF_PROG(io_uring_failed, const void *sqe, struct io_kiocb *req)
{
	uring_next();
	uring_reused(req); /* without being submitted */
	return 0;
}

SEC("tp_btf/io_uring_queue_async_work")
int BPF_PROG(io_uring_queue, struct io_kiocb *req)
{
	uring_queued(req);
	return 0;
}

SEC("tp_btf/io_uring_fail_link")
int BPF_PROG(io_uring_chain_broken, struct io_kiocb *failed, struct io_kiocb *req)
{
	uring_chain_broken(req);
	return 0;
}

SEC("tp_btf/io_uring_complete")
int BPF_PROG(io_uring_complete, void *ring, struct io_kiocb *req)
{
	uring_completed(req);
	return 0;
}

SEC("tp_btf/io_uring_cqe_overflow")
int BPF_PROG(io_uring_overflow, __u64 ring, __u64 user_data)
{
	uring_overflowed(ring, user_data);
	return 0;
}

SEC("tp_btf/io_uring_cqring_wait")
int BPF_PROG(io_uring_wait)
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
int BPF_PROG(io_uring_task_exit)
{
	uring_task_exited();
	return 0;
}

/* --- processes that may publish their active span --- */

SEC("tp_btf/sched_process_exec")
int BPF_PROG(context_exec)
{
	process_executed();
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(context_fork, struct task_struct *parent, struct task_struct *child)
{
	process_forked(parent, child);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(context_exit, struct task_struct *task)
{
	thread_exited(task);
	return 0;
}

SEC("iter/task")
int context_processes(struct bpf_iter__task *ctx)
{
	list_process(ctx);
	return 0;
}

/* security_task_prctl() is called first in every prctl(2), with its arguments. */

SEC("fentry/security_task_prctl")
int BPF_PROG(fentry_prctl, int option, unsigned long what, unsigned long at, unsigned long length,
	     unsigned long name)
{
	context_named((__u32)option, what, at, name);
	return 0;
}

SEC("kprobe.multi/security_task_prctl")
int BPF_KPROBE(kprobe_multi_prctl, int option, unsigned long what, unsigned long at,
	       unsigned long length, unsigned long name)
{
	context_named((__u32)option, what, at, name);
	return 0;
}

SEC("kprobe/security_task_prctl")
int BPF_KPROBE(kprobe_prctl, int option, unsigned long what, unsigned long at, unsigned long length,
	       unsigned long name)
{
	context_named((__u32)option, what, at, name);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_prctl")
int tracepoint_prctl(struct sys_enter_context *ctx)
{
	context_named((__u32)ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[4]);
	return 0;
}

/* --- run by user space: which of process_checks have ended --- */

SEC("raw_tp")
int BPF_PROG(check_processes, __u64 count)
{
	for (__u32 i = 0; i < CHECKS_MAX && i < count; i++)
		check_process(i);
	return 0;
}

/* --- for TestKernelBuckets only: no hook loads it --- */

SEC("raw_tp")
int BPF_PROG(bucket_test, __u64 ns)
{
	return bucket_of(ns);
}
