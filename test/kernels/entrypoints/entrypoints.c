/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entrypoints ENTRY_POINT makes twenty getsockopt calls through one of the kernel's entry
 * points. For each it prints the option's name, level and number, what the kernel
 * returned, and the value in hexadecimal. A test compares these lines with what a
 * receiver reports. It is in C, because a 64-bit Go program makes no 32-bit calls, and
 * because Go's runtime would make calls of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/net.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "entrypoints.h"

#define ROUNDS 4

/* io_uring knows SOL_SOCKET only, and fails the second. */
/* clang-format off */
static const struct {
	const char *name;
	int level, option;
} calls[] = {
	{ "SO_TYPE", SOL_SOCKET, SO_TYPE },
	{ "TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY },
	{ "SO_DOMAIN", SOL_SOCKET, SO_DOMAIN },
	{ "SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR },
	{ "9999", SOL_SOCKET, 9999 }, /* no option: fails */
};
/* clang-format on */

static const struct {
	const char *name;
	int (*enter)(struct call *c);
} entry_points[] = {
	{ "syscall", enter_syscall },
#if defined(__i386__)
	{ "socketcall", enter_socketcall },
#endif
	{ "io_uring", enter_io_uring },
	{ "io_uring_worker", enter_io_uring_worker },
	{ "io_uring_poller", enter_io_uring_poller },
};

void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Not getsockopt(3): the C library for i386 may choose socketcall. */
int enter_syscall(struct call *c)
{
	if (syscall(SYS_getsockopt, c->fd, c->level, c->option, c->value, &c->length))
		return -errno;
	return 0;
}

#if defined(__i386__)
int enter_socketcall(struct call *c)
{
	unsigned long args[] = { c->fd, c->level, c->option, (unsigned long)c->value,
				 (unsigned long)&c->length };

	return syscall(SYS_socketcall, SYS_GETSOCKOPT, args) ? -errno : 0;
}
#endif

static void print(const char *name, const struct call *c, int result)
{
	const unsigned char *value = c->value;

	printf("%s %d %d %d ", name, c->level, c->option, result);
	for (uint32_t i = 0; result >= 0 && i < c->length; i++)
		printf("%02x", value[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	int (*enter)(struct call *c) = NULL;
	char value[64];
	int one = 1;
	int fd;

	for (size_t i = 0; i < sizeof(entry_points) / sizeof(entry_points[0]); i++)
		if (argc == 2 && !strcmp(argv[1], entry_points[i].name))
			enter = entry_points[i].enter;
	if (!enter) {
		fprintf(stderr, "usage: %s ENTRY_POINT\n", argv[0]);
		return 2;
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		fail("socket");
	for (size_t i = 0; i < ROUNDS * sizeof(calls) / sizeof(calls[0]); i++) {
		size_t n = i % (sizeof(calls) / sizeof(calls[0]));
		struct call c = { .fd = fd,
				  .level = calls[n].level,
				  .option = calls[n].option,
				  .value = value,
				  .length = sizeof(value) };
		int result = enter(&c);

		if (i == 0 && (result == -ENOSYS || result == -EOPNOTSUPP || result == -EINVAL)) {
			fprintf(stderr, "%s: %s\n", argv[1], strerror(-result));
			return UNSUPPORTED;
		}
		print(calls[n].name, &c, result);
	}
	return 0;
}
