/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of io_uring, by raw system calls. Whoever includes it has fail().
 *
 * The layouts are those of include/uapi/linux/io_uring.h. They are repeated here because
 * the headers of a distribution are often older than the kernels on which this runs.
 */
#ifndef RING_H
#define RING_H

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same numbers on every architecture. */
#define NR_IO_URING_SETUP 425
#define NR_IO_URING_ENTER 426

#define SETUP_SQPOLL (1U << 1)
#define ENTER_GETEVENTS (1U << 0)
#define ENTER_SQ_WAKEUP (1U << 1)
#define OP_TIMEOUT 11
#define OP_URING_CMD 46
#define SQE_LINK (1U << 2)
#define SQE_ASYNC (1U << 4)
#define TIMEOUT_ETIME_SUCCESS (1U << 5)
#define SOCKET_GETSOCKOPT 2
#define OFFSET_RINGS 0ULL
#define OFFSET_SQES 0x10000000ULL

struct sqe {
	uint8_t opcode, flags;
	uint16_t ioprio;
	int32_t fd;
	uint64_t command;
	uint32_t level, option; /* an address in other operations */
	uint32_t length, command_flags;
	uint64_t user_data;
	uint32_t buffer, option_length;
	uint64_t value, unused;
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

/* Returns 0 or -errno. */
static int open_ring(uint32_t entries, uint32_t flags)
{
	size_t sq, cq;

	ring.p.flags = flags;
	ring.p.idle = 1000; /* ms until the polling thread sleeps */
	ring.fd = syscall(NR_IO_URING_SETUP, entries, &ring.p);
	if (ring.fd < 0)
		return -errno;
	/* Both rings lie in one mapping since 5.4. */
	sq = ring.p.sq.array + ring.p.sq_entries * sizeof(uint32_t);
	cq = ring.p.cq.cqes + ring.p.cq_entries * sizeof(struct cqe);
	ring.rings = map(sq > cq ? sq : cq, OFFSET_RINGS);
	ring.sqes = map(ring.p.sq_entries * sizeof(struct sqe), OFFSET_SQES);
	return 0;
}

#endif
