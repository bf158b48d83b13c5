/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests of io_uring by its tracepoints. The result of a request is in its memory,
 * which the kernel reuses for the next one, so a result is read only after a check that
 * the memory still holds the request.
 *
 * Most requests are inline: they run while their thread submits them. Such a request is
 * the thread's running one until the next event of that thread, which comes after its
 * end. This needs no completion, which io_uring does not post with
 * IOSQE_CQE_SKIP_SUCCESS, or when the completion queue overflows.
 *
 * A deferred request waits in deferred_requests for its completion. If no event reports
 * the completion, it counts as no_completion.
 */
#ifndef GETSOCKOPT_IOURING_EVENTS_H
#define GETSOCKOPT_IOURING_EVENTS_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "arch.h"
#include "iouring.h"
#include "kernel.h"
#include "maps.h"
#include "socket.h"

#define IORING_SETUP_SQPOLL (1U << 1) /* include/uapi/linux/io_uring.h */

static __always_inline void uring_lost(void)
{
	counter_inc(seen);
	counter_inc(no_completion);
}

/* --- inline requests --- */

/* Whether the request is the last that ended in this submission. Its completion is not
 * yet posted, and it still holds its file. */
static __always_inline bool just_ended(struct io_kiocb *req)
{
	struct io_wq_work_node *last = BPF_CORE_READ(req, ctx, submit_state.compl_reqs.last);

	return (__u64)last == (__u64)req + bpf_core_field_offset(struct io_kiocb, comp_list);
}

/* Ends the thread's running request. Unless held, its file may have been released. */
static __always_inline void uring_ended(struct uring_thread *u, bool certain, bool held)
{
	struct io_kiocb *req = (void *)u->running.request;
	bool registered = u->running.call.flags & CALL_NO_FD;
	struct sock *sk;
	__s32 result;

	/* The result before the identity: a new request in the same memory changes
	 * the identity first. */
	result = BPF_CORE_READ(req, cqe.res);
	u->running.request = 0;
	__sync_fetch_and_add(&uring_running, -1);
	if (!certain || !same_request(&u->running, req)) {
		uring_lost();
		return;
	}
	sk = socket_of_file(BPF_CORE_READ(req, file));
	if (registered && !sk)
		return; /* another file's command */
	if (!held)
		sk = registered ? NULL : socket_of(bpf_get_current_task_btf(), u->running.call.fd);
	uring_end(&u->running, result, sk, true);
}

static __always_inline struct uring_thread *running_thread(void)
{
	struct uring_thread *u;

	if (!uring_running)
		return NULL;
	u = uring_thread(false);
	return u && u->running.request ? u : NULL;
}

/* The thread begins its next request. */
static __always_inline void uring_next(void)
{
	struct uring_thread *u = running_thread();
	bool ended;

	if (!u)
		return;
	ended = just_ended((void *)u->running.request);
	uring_ended(u, ended, ended);
}

/* The thread's submission is over, and its completions are posted. */
static __always_inline void uring_submitted_all(void)
{
	struct uring_thread *u = running_thread();

	if (u)
		uring_ended(u, true, false);
}

/* --- deferred requests --- */

static __always_inline __u64 *deferred_of_ring(__u64 ring)
{
	return &deferred_by_ring[ring * 0x9e3779b97f4a7c15 >> (64 - DEFERRED_RING_BITS)];
}

static __always_inline void count_deferred(const struct uring_request *r, __s64 change)
{
	__sync_fetch_and_add(&uring_deferred, change);
	__sync_fetch_and_add(&deferred_by_owner[r->owner % DEFERRED_OWNERS], change);
	__sync_fetch_and_add(&deferred_by_process[r->origin.process.pid % DEFERRED_PROCESSES],
			     change);
	__sync_fetch_and_add(deferred_of_ring(r->identity.ring), change);
}

/* Claims an entry, which the caller must delete. NULL when there is none, or another
 * CPU was first. */
static __always_inline struct uring_request *claim_deferred(__u64 key)
{
	struct uring_request *r = bpf_map_lookup_elem(&deferred_requests, &key);

	return r && !__sync_lock_test_and_set(&r->claimed, 1) ? r : NULL;
}

static __always_inline void delete_deferred(__u64 key, const struct uring_request *r)
{
	count_deferred(r, -1);
	bpf_map_delete_elem(&deferred_requests, &key);
}

/* The memory of a request is reused: the request ended without an event. */
static __always_inline void uring_reused(struct io_kiocb *req)
{
	struct uring_request *r;

	if (!uring_deferred)
		return;
	r = claim_deferred((__u64)req);
	if (!r)
		return;
	uring_lost();
	delete_deferred((__u64)req, r);
}

/* Dynamic thresholds (Choudhury and Hahne, 1998): each may hold a share of what is
 * free, so that some is always left for others. An owner has at most a third of the
 * table, and a process a fifth of what its owner may still have. */
static __always_inline bool may_defer(const struct uring_request *r)
{
	__u64 by_owner = deferred_by_owner[r->owner % DEFERRED_OWNERS];
	__u64 by_process = deferred_by_process[r->origin.process.pid % DEFERRED_PROCESSES];

	return uring_deferred + 2 * by_owner + 4 * by_process < DEFERRED_MAX;
}

static __always_inline void uring_defer(struct uring_thread *u, struct uring_request *r)
{
	__u64 key = r->request;

	if (!may_defer(r) || bpf_map_update_elem(&deferred_requests, &key, r, BPF_NOEXIST)) {
		counter_inc(seen);
		counter_inc(no_storage);
		return;
	}
	count_deferred(r, 1);
	u->deferred = 1;
}

struct forgotten {
	__u64 ring;
	__u64 user_data;
	__u64 task;
};

/* Removes requests that end without a completion: of a task all, and of a ring those
 * with the user data of an overflowed completion, which may be theirs. */
static long forget_deferred(void *map, __u64 *key, struct uring_request *r, struct forgotten *which)
{
	__u64 request = *key;
	bool matches = which->task ? r->task == which->task :
				     r->identity.ring == which->ring &&
					     r->identity.user_data == which->user_data;

	if (!matches || !claim_deferred(request))
		return 0;
	uring_lost();
	delete_deferred(request, r);
	return 0;
}

/* --- the events --- */

/* Whether a request is inline, and a program runs when its submission returns. */
static __always_inline bool runs_inline(struct io_kiocb *req, __u32 flags)
{
	struct io_ring_ctx *ring = BPF_CORE_READ(req, ctx);

	if (!uring_return_seen || (!uring_return_seen_compat && is_compat()))
		return false;
	return !(flags & (REQ_F_LINK | REQ_F_HARDLINK | REQ_F_FORCE_ASYNC | REQ_F_FAIL)) &&
	       !(BPF_CORE_READ(ring, flags) & IORING_SETUP_SQPOLL) &&
	       !BPF_CORE_READ(ring, submit_state.link.head);
}

static __always_inline void uring_submit(struct io_kiocb *req)
{
	struct io_uring_cmd *command = (void *)req;
	struct uring_thread *u;
	__u32 flags;

	uring_next();
	uring_reused(req);
	/* Plain loads: the requests of every program come here. */
	if (!is_command(req->opcode) || !is_getsockopt_request(req))
		return;
	flags = request_flags(req);
	/* Other files have commands of the same number, and the request has no file
	 * yet. A registered file is checked at the end. */
	if (!(flags & REQ_F_FIXED_FILE)) {
		const struct getsockopt_sqe *sqe = BPF_CORE_READ(command, sqe);
		__s32 fd;

		if (bpf_probe_read_kernel(&fd, sizeof(fd), &sqe->fd) ||
		    !socket_of(bpf_get_current_task_btf(), fd))
			return;
	}
	u = uring_thread(true);
	if (!u) {
		counter_inc(seen);
		counter_inc(no_storage);
		return;
	}
	switch (uring_begin(req, &u->running)) {
	case URING_FILTERED:
		u->running.request = 0;
		counter_inc(seen);
		counter_inc(filtered);
		return;
	case URING_NO_STORAGE:
		u->running.request = 0;
		counter_inc(seen);
		counter_inc(no_storage);
		return;
	case URING_UNREADABLE:
		return;
	case URING_STORED:
		break;
	}
	if (runs_inline(req, flags)) {
		__sync_fetch_and_add(&uring_running, 1);
		return;
	}
	if (flags & REQ_F_CQE_SKIP)
		uring_lost();
	else
		uring_defer(u, &u->running);
	u->running.request = 0;
}

/* A request that began inline continues on a worker thread. */
static __always_inline void uring_queued(struct io_kiocb *req)
{
	struct uring_thread *u = running_thread();

	if (!u || u->running.request != (__u64)req)
		return;
	if (request_flags(req) & REQ_F_CQE_SKIP)
		uring_lost();
	else
		uring_defer(u, &u->running);
	u->running.request = 0;
	__sync_fetch_and_add(&uring_running, -1);
}

static __noinline int deferred_ended(struct io_kiocb *req, __s32 result)
{
	struct uring_request *r = claim_deferred((__u64)req);
	struct file *file;
	struct sock *sk;

	if (!r)
		return 0;
	file = BPF_CORE_READ(req, file);
	sk = socket_of_file(file);
	if (!same_request(r, req))
		uring_lost();
	else if (sk || !(r->call.flags & CALL_NO_FD) || (!file && result == -ECANCELED))
		uring_end(r, result, sk, false);
	/* Otherwise it is another file's command. A cancelled one has not got its file yet. */
	delete_deferred((__u64)req, r);
	return 0;
}

static __always_inline void uring_completed(struct io_kiocb *req)
{
	struct uring_thread *u = running_thread();

	if (u && u->running.request == (__u64)req) {
		uring_ended(u, true, true);
		return;
	}
	if (uring_deferred)
		deferred_ended(req, BPF_CORE_READ(req, cqe.res));
}

/* A request whose chain was broken is about to be cancelled. It has no completion if
 * the one that broke the chain was to have none (IOSQE_CQE_SKIP_SUCCESS). */
static __always_inline void uring_chain_broken(struct io_kiocb *req)
{
	if (uring_deferred && request_flags(req) & REQ_F_CQE_SKIP)
		deferred_ended(req, -ECANCELED);
}

/* The event does not name the request, and may come from a worker of the kernel. */
static __always_inline void uring_overflowed(__u64 ring, __u64 user_data)
{
	struct forgotten which = { .ring = ring, .user_data = user_data };
	struct uring_thread *u = running_thread();

	if (u && u->running.identity.ring == ring)
		uring_ended(u, true, true);
	if (*deferred_of_ring(ring))
		bpf_for_each_map_elem(&deferred_requests, forget_deferred, &which, 0);
}

/* Removes the requests of a task that exits. io_uring does not wait for them: a kernel
 * thread ends them with their ring, some without a completion. */
static __always_inline void uring_task_exited(void)
{
	struct forgotten which = { .task = (__u64)bpf_get_current_task() };
	struct uring_thread *u;

	if (!uring_running && !uring_deferred)
		return;
	u = uring_thread(false);
	if (!u)
		return;
	if (u->running.request) {
		u->running.request = 0;
		__sync_fetch_and_add(&uring_running, -1);
		uring_lost();
	}
	if (u->deferred)
		bpf_for_each_map_elem(&deferred_requests, forget_deferred, &which, 0);
}

#endif
