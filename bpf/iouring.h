/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * getsockopt by io_uring (SOCKET_URING_OP_GETSOCKOPT, 6.7), for SOL_SOCKET only. It
 * bypasses the hooks of the system call, may run on a kernel worker thread, and
 * returns the length instead of writing it. The thread that submitted the request is
 * the caller.
 *
 * A request is observed in one of two ways. Where functions can be traced,
 * iouring_function.h traces the one that runs it. Otherwise iouring_events.h uses the
 * tracepoints of io_uring, which do not report the end of every request.
 */
#ifndef GETSOCKOPT_IOURING_H
#define GETSOCKOPT_IOURING_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "callpath.h"
#include "context.h"
#include "emit.h"
#include "kernel.h"
#include "maps.h"
#include "peer.h"
#include "records.h"
#include "sampling.h"
#include "select.h"
#include "series.h"

/* include/uapi/linux/io_uring.h */
#define IORING_OP_URING_CMD 46
#define IORING_OP_URING_CMD128 64 /* 6.19, for rings of both sizes (IORING_SETUP_SQE_MIXED) */
#define SOCKET_URING_OP_GETSOCKOPT 2

/* The lowest flags of a request are those of its SQE (include/linux/io_uring_types.h). */
#define REQ_F_FIXED_FILE (1U << 0)
#define REQ_F_LINK (1U << 2)
#define REQ_F_HARDLINK (1U << 3)
#define REQ_F_FORCE_ASYNC (1U << 4) /* drained requests have it too */
#define REQ_F_CQE_SKIP (1U << 6)
#define REQ_F_FAIL (1U << 8)

struct getsockopt_sqe {
	__u8 opcode;
	__u8 flags;
	__u16 ioprio;
	__s32 fd;
	__u64 cmd_op;
	__u32 level;
	__u32 option;
	__u32 length;
	__u32 cmd_flags;
	__u64 user_data;
	__u32 buffer;
	__u32 option_length;
	__u64 value;
};

static __always_inline struct uring_thread *uring_thread(bool create)
{
	return bpf_task_storage_get(&uring_threads, bpf_get_current_task_btf(), NULL,
				    create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
}

static __always_inline __u32 request_flags(struct io_kiocb *req)
{
	return BPF_CORE_READ(req, flags);
}

static __always_inline bool is_command(__u8 opcode)
{
	return opcode == IORING_OP_URING_CMD || opcode == IORING_OP_URING_CMD128;
}

static __always_inline bool is_getsockopt_request(struct io_kiocb *req)
{
	struct io_uring_cmd *command = (void *)req;

	return is_command(BPF_CORE_READ(req, opcode)) &&
	       BPF_CORE_READ(command, cmd_op) == SOCKET_URING_OP_GETSOCKOPT;
}

static __always_inline struct uring_identity identity_of(struct io_kiocb *req)
{
	struct io_kiocb___task *before = (void *)req;
	struct uring_identity identity = {
		.ring = (__u64)BPF_CORE_READ(req, ctx),
		.user_data = BPF_CORE_READ(req, cqe.user_data),
	};

	if (bpf_core_field_exists(req->tctx))
		identity.submitter = (__u64)BPF_CORE_READ(req, tctx);
	else
		identity.submitter = (__u64)BPF_CORE_READ(before, task);
	return identity;
}

/* Whether the memory of a request still holds the same one. */
static __always_inline bool same_request(const struct uring_request *r, struct io_kiocb *req)
{
	struct uring_identity now = identity_of(req);

	return is_getsockopt_request(req) && now.ring == r->identity.ring &&
	       now.submitter == r->identity.submitter && now.user_data == r->identity.user_data;
}

static __always_inline struct task_struct *submitter_of(struct io_kiocb *req)
{
	struct io_kiocb___task *before = (void *)req;

	if (bpf_core_field_exists(req->tctx))
		return BPF_CORE_READ(req, tctx, task);
	return BPF_CORE_READ(before, task);
}

enum uring_begin {
	URING_UNREADABLE,
	URING_FILTERED,
	URING_NO_STORAGE,
	URING_STORED,
};

/* Stores a request in r. The current task is a thread of the process that submitted
 * it: the submitter, or one that the kernel made for it. */
static __noinline enum uring_begin uring_begin(struct io_kiocb *req, struct uring_request *r)
{
	struct io_uring_cmd *command = (void *)req;
	struct task_struct *task = current_task();
	struct task_struct *submitter = submitter_of(req);
	struct getsockopt_sqe sqe = {};
	struct thread_state *t;

	if (bpf_probe_read_kernel(&sqe, sizeof(sqe), BPF_CORE_READ(command, sqe)))
		return URING_UNREADABLE;
	if (is_receiver(task))
		return URING_FILTERED;
	t = thread_get_or_create(task);
	if (!t || !find_process(task, t))
		return URING_NO_STORAGE;
	if (ruled_subjects && !call_selected(submitter, t, sqe.level, sqe.option))
		return URING_FILTERED;
	__builtin_memset(r, 0, sizeof(*r));
	if (spans_enabled)
		r->process_emitted = emit_process_once(t);
	r->call.fd = sqe.fd;
	r->call.level = sqe.level;
	r->call.option = sqe.option;
	r->call.value = sqe.value;
	r->call.length_in = sqe.option_length;
	r->call.flags = CALL_LENGTH_IN;
	if (request_flags(req) & REQ_F_FIXED_FILE)
		r->call.flags |= CALL_NO_FD;
	r->call.entry = ENTRY_IO_URING;
	r->origin.process = t->process;
	r->origin.group = t->group;
	r->owner = (t->owner * HASH_MULTIPLIER_1) >> (64 - DEFERRED_OWNER_BITS);
	r->origin.tid = BPF_CORE_READ(submitter, pid);
	BPF_CORE_READ_INTO(&r->origin.comm, submitter, comm);
	r->request = (__u64)req;
	r->identity = identity_of(req);
	r->task = (__u64)submitter;
	r->call.start = bpf_ktime_get_ns();
	return URING_STORED;
}

/* Whether the current task has the address space in which the value lies. The workers
 * that the kernel makes for a ring share it. Those that clean up after a ring do not,
 * nor does another process with the ring's descriptor. */
static __always_inline bool in_callers_memory(const struct origin *origin)
{
	struct task_struct *task = current_task();

	return pid_of(task) == origin->process.pid &&
	       (__u32)task->self_exec_id == origin->process.exec_id &&
	       BPF_CORE_READ(task, group_leader, start_boottime) == origin->process.start;
}

/* Counts and emits a request that has ended. sk is NULL if its socket is unknown by
 * now. submitting: the thread is still in the system call that submitted it. */
static __noinline void uring_end(struct uring_request *r, __s32 result, struct sock *sk,
				 bool submitting)
{
	struct call_result res = { .duration = bpf_ktime_get_ns() - r->call.start, .ret = result };
	bool readable = in_callers_memory(&r->origin);
	struct user_result out = {};
	struct series_cache cache = {};
	struct counted in = {};
	struct parent_found found;
	struct decision decision;

	counter_inc(seen);
	wake_control_loop(); /* it may have fallen asleep since the request was submitted */
	if (res.ret >= 0) {
		out.length = res.ret;
		out.length_known = true;
		if (is_so_error(&r->call)) {
			if (readable)
				res.pending = pending_error(&r->call, &out);
			else
				counter_inc(value_read_errors);
		}
	}
	/* No sock_bytes: casts came with 6.2, and this request with 6.7. */
	if (res.pending && peer_parts)
		count_at_peer(&r->call, &r->origin.group, &cache, &res, sk, NULL, &in);
	else
		count_call(&r->call, &r->origin.group, &cache, &res, &in);
	if (!in.slot || !keep_call(&in, r->origin.group, &res, &decision))
		return;
	if (!r->process_emitted) {
		counter_inc(ring_full);
		return;
	}
	parent_of_request(r, submitting, &found);
	emit(&r->call, &r->origin, &res, &out, &decision, found.parent,
	     readable ? may_copy(&cache, in.counts, &r->call, &res) : 0, sk, NULL);
	parent_release(&found);
}

#endif
