/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the entry points: each makes a call and returns its result. */
#ifndef ENTRYPOINTS_H
#define ENTRYPOINTS_H

#include <stdint.h>

/* The exit status on a kernel without the entry point. */
#define UNSUPPORTED 77

struct call {
	int fd;
	int level;
	int option;
	void *value;
	uint32_t length; /* in: the buffer's, out: the value's */
};

/* Each returns 0, or a length for io_uring, or -errno. */
int enter_syscall(struct call *c);
int enter_socketcall(struct call *c);
int enter_io_uring(struct call *c);
int enter_io_uring_worker(struct call *c);
int enter_io_uring_poller(struct call *c);

void fail(const char *what);

#endif
