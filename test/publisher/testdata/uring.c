// SPDX-License-Identifier: Apache-2.0
//
// Publishes thread contexts by OTEP 4947, makes getsockopt calls through io_uring, and
// prints for each one its option, and the ids and the flags of the context in which it is
// made, zeros for none: also where the request runs outside of the system call that
// submitted it, when the thread may have another context.
//
// The layouts are those of include/uapi/linux/io_uring.h.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OP_TIMEOUT 11
#define OP_URING_CMD 46
#define SQE_LINK (1U << 2)
#define SQE_ASYNC (1U << 4)
#define ENTER_GETEVENTS (1U << 0)
#define TIMEOUT_ETIME_SUCCESS (1U << 5)
#define OFFSET_SQES 0x10000000ULL
#define ENTRIES 8

void set_context(void *);

struct record {
	uint8_t trace[16];
	uint8_t span[8];
	uint8_t valid;
	uint8_t flags;
	uint16_t attributes;
} __attribute__((packed));

struct sqe {
	uint8_t opcode, flags;
	uint16_t ioprio;
	int32_t fd;
	uint64_t command;
	uint32_t level, option; // an address in other operations
	uint32_t length, command_flags;
	uint64_t user_data;
	uint32_t buffer, option_length;
	uint64_t value, unused;
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

static int fd, value;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint32_t *at(uint32_t offset)
{
	return (uint32_t *)(ring.rings + offset);
}

static void *map(size_t size, unsigned long long offset)
{
	void *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
		       offset);

	if (m == MAP_FAILED)
		fail("map the ring");
	return m;
}

static void open_ring(void)
{
	ring.fd = syscall(SYS_io_uring_setup, ENTRIES, &ring.p);
	if (ring.fd < 0)
		fail("io_uring_setup");
	ring.rings = map(1 << 16, 0);
	ring.sqes = map(ENTRIES * sizeof(struct sqe), OFFSET_SQES);
}

// next returns the next entry of the submission queue, emptied.
static struct sqe *next(void)
{
	uint32_t index = (*at(ring.p.sq.tail))++ % ENTRIES;

	at(ring.p.sq.array)[index] = index;
	memset(&ring.sqes[index], 0, sizeof(struct sqe));
	return &ring.sqes[index];
}

static void enter(unsigned submit, unsigned wait)
{
	if (syscall(SYS_io_uring_enter, ring.fd, submit, wait, wait ? ENTER_GETEVENTS : 0, NULL,
		    0) != (long)submit)
		fail("io_uring_enter");
	*at(ring.p.cq.head) += wait;
}

static void hex(const uint8_t *bytes, int n)
{
	for (int i = 0; i < n; i++)
		printf("%02x", bytes[i]);
	printf(" ");
}

// prepare prepares a call with an option of its own, and prints what context it has.
static void prepare(int option, uint8_t flags, const struct record *context)
{
	static const struct record none;
	struct sqe *sqe = next();

	*sqe = (struct sqe){ .opcode = OP_URING_CMD,
			     .flags = flags,
			     .fd = fd,
			     .command = 2 /* SOCKET_URING_OP_GETSOCKOPT */,
			     .level = SOL_SOCKET,
			     .option = option,
			     .value = (uintptr_t)&value,
			     .option_length = sizeof(value) };
	if (!context)
		context = &none;
	printf("%d ", option);
	hex(context->trace, sizeof(context->trace));
	hex(context->span, sizeof(context->span));
	printf("%02x\n", context->flags);
	fflush(stdout);
}

int main(void)
{
	struct record first = { .valid = 1, .flags = 3 }, second = { .valid = 1 };
	static const int64_t delay[2] = { 0, 20 * 1000 * 1000 };

	memset(first.trace, 1, sizeof(first.trace) + sizeof(first.span));
	memset(second.trace, 2, sizeof(second.trace) + sizeof(second.span));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		fail("socket");
	open_ring();
	if (getchar() == EOF)
		fail("wait for a line");

	prepare(8000, 0, NULL);
	enter(1, 1);
	set_context(&first);
	prepare(8001, 0, &first);
	enter(1, 1);
	prepare(8002, 0, &first); // several at once
	prepare(8003, 0, &first);
	prepare(8004, 0, &first);
	enter(3, 3);
	prepare(8005, 0, &first); // one that nobody waits for, and then another span
	enter(1, 0);
	set_context(&second);
	prepare(8006, 0, &second);
	enter(1, 2);
	prepare(8007, SQE_ASYNC, NULL); // on another thread
	enter(1, 1);
	// After a timeout, while the thread waits for it in another span.
	set_context(&first);
	*next() = (struct sqe){ .opcode = OP_TIMEOUT,
				.flags = SQE_LINK,
				.fd = -1,
				.level = (uint32_t)(uintptr_t)delay,
				.option = (uint64_t)(uintptr_t)delay >> 32,
				.length = 1,
				.command_flags = TIMEOUT_ETIME_SUCCESS };
	prepare(8008, 0, NULL);
	enter(2, 0);
	set_context(&second);
	enter(0, 2);
	set_context(NULL);
	prepare(8009, 0, NULL);
	enter(1, 1);
	return 0;
}
