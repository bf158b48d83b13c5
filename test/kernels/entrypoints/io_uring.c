/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getsockopt through io_uring (SOCKET_URING_OP_GETSOCKOPT, Linux 6.7) by raw
 * system calls, in the three ways a request may run: in the caller's own
 * context, on a worker thread (IOSQE_ASYNC), or submitted by a kernel thread that
 * polls the ring (IORING_SETUP_SQPOLL).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "entrypoints.h"
#include "ring.h"

static int request(struct call *c, uint32_t setup, uint8_t flags)
{
	uint32_t enter = ENTER_GETEVENTS | (setup & SETUP_SQPOLL ? ENTER_SQ_WAKEUP : 0);
	struct cqe *cqes;
	uint32_t head, tail;
	int result = ring.rings ? 0 : open_ring(1, setup);

	if (result)
		return result;
	memset(ring.sqes, 0, sizeof(*ring.sqes));
	ring.sqes->opcode = OP_URING_CMD;
	ring.sqes->flags = flags;
	ring.sqes->fd = c->fd;
	ring.sqes->command = SOCKET_GETSOCKOPT;
	ring.sqes->level = c->level;
	ring.sqes->option = c->option;
	ring.sqes->value = (uintptr_t)c->value;
	ring.sqes->option_length = c->length;
	tail = *at(ring.p.sq.tail);
	at(ring.p.sq.array)[tail & *at(ring.p.sq.mask)] = 0;
	__atomic_store_n(at(ring.p.sq.tail), tail + 1, __ATOMIC_SEQ_CST);
	head = *at(ring.p.cq.head);
	while (__atomic_load_n(at(ring.p.cq.tail), __ATOMIC_ACQUIRE) == head) {
		/* After a signal interrupted the wait, nothing is left to submit. */
		uint32_t taken = __atomic_load_n(at(ring.p.sq.head), __ATOMIC_ACQUIRE);
		uint32_t left = *at(ring.p.sq.tail) - taken;

		if (syscall(NR_IO_URING_ENTER, ring.fd, left, 1, enter, NULL, 0) < 0 &&
		    errno != EINTR)
			fail("io_uring_enter");
	}
	cqes = (struct cqe *)at(ring.p.cq.cqes);
	result = cqes[head & *at(ring.p.cq.mask)].result;
	__atomic_store_n(at(ring.p.cq.head), head + 1, __ATOMIC_RELEASE);
	if (result >= 0)
		c->length = result;
	return result;
}

int enter_io_uring(struct call *c)
{
	return request(c, 0, 0);
}

int enter_io_uring_worker(struct call *c)
{
	return request(c, 0, SQE_ASYNC);
}

int enter_io_uring_poller(struct call *c)
{
	return request(c, SETUP_SQPOLL, 0);
}
