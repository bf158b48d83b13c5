/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getsockopt through io_uring (SOCKET_URING_OP_GETSOCKOPT, Linux 6.7) by raw
 * system calls, in the three ways a request may run: in the caller's own
 * context, on a worker thread (IOSQE_ASYNC), or submitted by a kernel thread that
 * polls the ring (IORING_SETUP_SQPOLL).
 *
 * The layouts are those of include/uapi/linux/io_uring.h. They are repeated here because
 * the headers of a distribution are often older than the kernels on which this runs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "entrypoints.h"

/* The same numbers on every architecture. */
#define NR_IO_URING_SETUP 425
#define NR_IO_URING_ENTER 426

#define SETUP_SQPOLL (1U << 1)
#define ENTER_GETEVENTS (1U << 0)
#define ENTER_SQ_WAKEUP (1U << 1)
#define OP_URING_CMD 46
#define SQE_ASYNC (1U << 4)
#define SOCKET_GETSOCKOPT 2
#define OFFSET_RINGS 0ULL
#define OFFSET_SQES 0x10000000ULL

struct sqe {
	uint8_t opcode, flags;
	uint16_t ioprio;
	int32_t fd;
	uint64_t command;
	uint32_t level, option;
	uint32_t unused, command_flags;
	uint64_t user_data;
	uint32_t buffer, length;
	uint64_t value, unused2;
};

struct cqe {
	uint64_t user_data;
	int32_t result;
	uint32_t flags;
};

struct parameters {
	uint32_t sq_entries, cq_entries, flags, cpu, idle, features, workers, reserved[3];
	struct {
		uint32_t head, tail, mask, entries, flags, dropped, array, reserved;
		uint64_t address;
	} sq;
	struct {
		uint32_t head, tail, mask, entries, overflow, cqes, flags, reserved;
		uint64_t address;
	} cq;
};

static struct {
	int fd;
	char *rings;
	struct sqe *sqes;
	struct parameters p;
} ring;

static uint32_t *at(uint32_t offset)
{
	return (uint32_t *)(ring.rings + offset);
}

static void *map(size_t size, unsigned long long offset)
{
	void *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
		       offset);

	if (m == MAP_FAILED)
		fail("mmap io_uring");
	return m;
}

static int open_ring(uint32_t flags)
{
	size_t sq, cq;

	if (ring.rings)
		return 0;
	ring.p.flags = flags;
	ring.p.idle = 1000; /* ms until the polling thread sleeps */
	ring.fd = syscall(NR_IO_URING_SETUP, 1, &ring.p);
	if (ring.fd < 0)
		return -errno;
	/* Both rings lie in one mapping since 5.4. */
	sq = ring.p.sq.array + ring.p.sq_entries * sizeof(uint32_t);
	cq = ring.p.cq.cqes + ring.p.cq_entries * sizeof(struct cqe);
	ring.rings = map(sq > cq ? sq : cq, OFFSET_RINGS);
	ring.sqes = map(ring.p.sq_entries * sizeof(struct sqe), OFFSET_SQES);
	return 0;
}

static int request(struct call *c, uint32_t setup, uint8_t flags)
{
	uint32_t enter = ENTER_GETEVENTS | (setup & SETUP_SQPOLL ? ENTER_SQ_WAKEUP : 0);
	struct cqe *cqes;
	uint32_t head, tail;
	int result = open_ring(setup);

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
	ring.sqes->length = c->length;
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
