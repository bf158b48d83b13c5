/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getsockopt requests of io_uring, in batches. Kernels before 6.7 have none.
 */
#include "../../kernels/entrypoints/ring.h"

#define ENTRIES 64

static uint32_t waiting;

/* Submits what is queued, and waits for its end. */
static void submit(void)
{
	if (!waiting)
		return;
	if (syscall(NR_IO_URING_ENTER, ring.fd, waiting, waiting, ENTER_GETEVENTS, NULL, 0) < 0)
		fail("io_uring_enter");
	waiting = 0;
	__atomic_store_n(at(ring.p.cq.head), __atomic_load_n(at(ring.p.cq.tail), __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
}

/* Queues a request; a full queue is submitted. Of levels only SOL_SOCKET exists. */
static void get_uring(int fd, int level, int option)
{
	static int value[ENTRIES];
	uint32_t tail, i;

	if (!ring.rings && (errno = -open_ring(ENTRIES, 0)))
		fail("io_uring_setup");
	tail = *at(ring.p.sq.tail);
	i = tail & *at(ring.p.sq.mask);
	ring.sqes[i] = (struct sqe){
		.opcode = OP_URING_CMD,
		.fd = fd,
		.command = SOCKET_GETSOCKOPT,
		.level = level,
		.option = option,
		.option_length = sizeof(value[i]),
		.value = (uintptr_t)&value[i],
	};
	at(ring.p.sq.array)[i] = i;
	__atomic_store_n(at(ring.p.sq.tail), tail + 1, __ATOMIC_RELEASE);
	if (++waiting == ENTRIES)
		submit();
}
