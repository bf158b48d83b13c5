/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * io_uring_cmd_sock runs the commands of sockets (since 6.4), on the thread that runs
 * the request, and returns the result. It is called through a pointer, so the compiler
 * cannot inline it. A request that io_uring cancels before, as one of a broken chain,
 * does not reach it and counts as no call.
 */
#ifndef GETSOCKOPT_IOURING_FUNCTION_H
#define GETSOCKOPT_IOURING_FUNCTION_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "iouring.h"
#include "kernel.h"
#include "maps.h"
#include "socket.h"

#define IO_URING_F_NONBLOCK (1U << 31) /* include/linux/io_uring/cmd.h */

static __always_inline void uring_function_enter(struct io_kiocb *req, __u32 issue_flags)
{
	struct uring_thread *u;
	enum uring_begin begin;

	if (!is_getsockopt_request(req))
		return;
	u = uring_thread(true);
	if (!u) {
		counter_inc(seen);
		counter_inc(no_storage);
		return;
	}
	if (u->running.request) { /* its return was missed */
		counter_inc(seen);
		counter_inc(no_exit);
	}
	u->running.request = 0;
	begin = uring_begin(req, &u->running);
	if (begin == URING_NO_STORAGE) {
		counter_inc(seen);
		counter_inc(no_storage);
	}
	if (begin == URING_FILTERED) {
		u->running.request = (__u64)req;
		u->running.call.phase = PHASE_ACCOUNTED;
	}
	u->running.nonblocking = (issue_flags & IO_URING_F_NONBLOCK) != 0;
}

static __always_inline void uring_function_exit(__s32 result)
{
	struct uring_thread *u;
	struct io_kiocb *req;

	u = uring_thread(false);
	if (!u || !u->running.request)
		return;
	req = (void *)u->running.request;
	u->running.request = 0;
	if (result == -EAGAIN && u->running.nonblocking)
		return; /* a worker thread tries again */
	if (u->running.call.phase == PHASE_ACCOUNTED) {
		u->running.call.phase = PHASE_NONE;
		counter_inc(seen);
		counter_inc(filtered);
		return;
	}
	/* Not known to be in the system call that submitted it: task work may run it later. */
	uring_end(&u->running, result, socket_of_file(BPF_CORE_READ(req, file)), false);
}

#endif
