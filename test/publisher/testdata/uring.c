// SPDX-License-Identifier: Apache-2.0
//
// Publishes thread contexts by OTEP 4947, makes getsockopt calls through io_uring, and
// prints for each one its option, and the ids and the flags of the context in which it is
// made, zeros for none: also where the request runs outside of the system call that
// submitted it, when the thread may have another context.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "record.h"
#include "../../kernels/entrypoints/ring.h" // uses fail()

#define ENTRIES 8

void set_context(void *);

static int fd, value;

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
	if (syscall(NR_IO_URING_ENTER, ring.fd, submit, wait, wait ? ENTER_GETEVENTS : 0, NULL,
		    0) != (long)submit)
		fail("io_uring_enter");
	*at(ring.p.cq.head) += wait;
}

// prepare prepares a call with an option of its own, and prints what context it has.
static void prepare(int option, uint8_t flags, const struct record *context)
{
	struct sqe *sqe = next();

	*sqe = (struct sqe){ .opcode = OP_URING_CMD,
			     .flags = flags,
			     .fd = fd,
			     .command = SOCKET_GETSOCKOPT,
			     .level = SOL_SOCKET,
			     .option = option,
			     .value = (uintptr_t)&value,
			     .option_length = sizeof(value) };
	show(option, context);
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
	if (open_ring(ENTRIES, 0))
		fail("io_uring_setup");
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
