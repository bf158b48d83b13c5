/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of the tests, hostile ones and others. What runs without an end is killed.
 * Those that count their calls print the number on their last line.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMPAT_GETSOCKOPT 365

extern char **environ;

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

#include "requests.h" /* uses fail() */

static int must(int result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

static long get(int fd, int level, int option)
{
	int value;
	socklen_t length = sizeof(value);

	return syscall(SYS_getsockopt, fd, level, option, &value, &length);
}

static int tcp(void)
{
	return must(socket(AF_INET, SOCK_STREAM, 0), "socket");
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void pause_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static bool next_line(void)
{
	char line[64];

	return fgets(line, sizeof(line), stdin) != NULL;
}

static void report(long n)
{
	printf("%ld\n", n);
	fflush(stdout);
}

/* A call through the entry point of 32-bit programs, where there is one. */
static void get_compat(int fd, int level, int option)
{
#ifdef __x86_64__
	static uint32_t *low;
	long result;

	if (!low)
		low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (low == MAP_FAILED)
		fail("mmap");
	low[1] = 4;
	asm volatile("int $0x80"
		     : "=a"(result)
		     : "a"(COMPAT_GETSOCKOPT), "b"(fd), "c"(level), "d"(option), "S"(low),
		       "D"(low + 1)
		     : "memory", "r8", "r9", "r10", "r11");
#else
	get(fd, level, option);
#endif
}

/* invent N: N calls with options, and with levels and options, that do not exist. 0: without
 * end. Through every entry point. */
static long invent(long n)
{
	int fd = tcp();
	long i = 0;

	for (; !n || i < n; i++) {
		int level = i % 2 ? SOL_SOCKET : 1000 + i % 5000, option = 5000 + i % 7919;

		if (i % 3 == 0)
			get(fd, level, option);
		else if (i % 3 == 1)
			get_compat(fd, level, option);
		else
			get_uring(fd, SOL_SOCKET, option);
	}
	submit();
	return i;
}

/* ways: reads levels and options, and makes each fail in every way, without end. */
static _Noreturn void ways(void)
{
	static int named[4096][2];
	static const int families[][3] = {
		{ AF_INET, SOCK_STREAM, 0 }, { AF_INET, SOCK_DGRAM, 0 },
		{ AF_INET, SOCK_RAW, 1 },    { AF_INET6, SOCK_STREAM, 0 },
		{ AF_INET6, SOCK_DGRAM, 0 }, { AF_UNIX, SOCK_STREAM, 0 },
		{ AF_UNIX, SOCK_DGRAM, 0 },  { AF_NETLINK, SOCK_RAW, 0 },
		{ AF_PACKET, SOCK_RAW, 0 },
	};
	int fds[16] = { -1, must(open("/dev/null", O_RDONLY), "open"),
			must(open("/", O_PATH), "open") };
	int files = 3, count = 0;
	static char value[4096];

	while (count < 4096 && scanf("%d %d", &named[count][0], &named[count][1]) == 2)
		count++;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		int fd = socket(families[i][0], families[i][1], families[i][2]);

		if (fd >= 0)
			fds[files++] = fd;
	}
	for (;;) {
		for (int file = 0; file < files; file++) {
			for (int i = 0; i < count; i++) {
				int fd = fds[file], level = named[i][0], option = named[i][1];
				socklen_t none = -1, small = 1, large = sizeof(value);

				syscall(SYS_getsockopt, fd, level, option, value, NULL);
				syscall(SYS_getsockopt, fd, level, option, value, &none);
				syscall(SYS_getsockopt, fd, level, option, value, &small);
				syscall(SYS_getsockopt, fd, level, option, (void *)8, &large);
				get(fd, level, option);
				get_compat(fd, level, option);
				if (level == SOL_SOCKET && fd >= 0)
					get_uring(fd, level, option);
			}
		}
	}
}

/* fail: without end, as fast as it goes. */
static _Noreturn void fail_fast(void)
{
	int fd = tcp();

	for (;;)
		get(fd, SOL_SOCKET, 9999);
}

/* fail-uring: the same through io_uring, in batches. */
static _Noreturn void fail_uring(void)
{
	int fd = tcp();

	for (;;)
		get_uring(fd, SOL_SOCKET, 9999);
}

/* The address of a port that is bound and has no listener. */
static struct sockaddr_storage closed_port(int family, uint32_t inet)
{
	struct sockaddr_storage at = { .ss_family = family };
	socklen_t size = sizeof(at);
	int nobody = must(socket(family, SOCK_STREAM, 0), "socket");

	if (family == AF_INET)
		((struct sockaddr_in *)&at)->sin_addr.s_addr = htonl(inet);
	else
		((struct sockaddr_in6 *)&at)->sin6_addr = in6addr_loopback;
	must(bind(nobody, (void *)&at, size), "bind");
	must(getsockname(nobody, (void *)&at, &size), "getsockname");
	return at;
}

static void connect_refused(const struct sockaddr_storage *at)
{
	int fd = must(socket(at->ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (connect(fd, (void *)at, sizeof(*at)) == 0 || errno != EINPROGRESS)
		fail("connect");
	must(poll(&p, 1, -1), "poll");
	get(fd, SOL_SOCKET, SO_ERROR);
	close(fd);
}

/* refused N MS: N connections that are refused, a pause after each. */
static long refused(long n, long ms)
{
	struct sockaddr_storage at = closed_port(AF_INET, INADDR_LOOPBACK);

	for (long i = 0; i < n; i++) {
		connect_refused(&at);
		pause_ms(ms);
	}
	return n;
}

/* refused-by-six N: N connections to each of three ports of IPv4 and of IPv6. */
static long refused_by_six(long n)
{
	for (int i = 0; i < 6; i++) {
		struct sockaddr_storage at =
			closed_port(i % 2 ? AF_INET6 : AF_INET, INADDR_LOOPBACK);

		for (long j = 0; j < n; j++)
			connect_refused(&at);
	}
	return 6 * n;
}

/* invent-peers N: N connections, each to another address. 0: without end. */
static long invent_peers(long n)
{
	struct sockaddr_storage at = closed_port(AF_INET, INADDR_ANY);
	long i = 0;

	for (; !n || i < n; i++) {
		((struct sockaddr_in *)&at)->sin_addr.s_addr =
			htonl((127 << 24) + (1 << 16) + i % 0x600000);
		connect_refused(&at);
	}
	return i;
}

/* call N: N calls, each of another option than the three before. */
static long call(long n)
{
	static const int options[] = { SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR };
	int fd = tcp();

	for (long i = 0; i < n; i++)
		get(fd, SOL_SOCKET, options[i % 4]);
	return n;
}

/* services PREFIX FROM N CALLS [BYTES]: one service after the other, as fast as it goes, with
 * so many bytes of resource attributes. N 0: without end. */
static long services(const char *self, const char *prefix, long from, long n, const char *calls,
		     int bytes)
{
	static char attributes[8192];

	snprintf(attributes, sizeof(attributes), "OTEL_RESOURCE_ATTRIBUTES=team=%0*d", bytes, 0);
	for (long i = from; !n || i < from + n; i++) {
		char name[128];
		char *env[] = { name, bytes ? attributes : NULL, NULL };
		char *args[] = { (char *)self, "call", (char *)calls, "quiet", NULL };
		int status;
		pid_t child;

		snprintf(name, sizeof(name), "OTEL_SERVICE_NAME=%s-%ld", prefix, i);
		child = vfork();
		if (child == 0) {
			execve("/proc/self/exe", args, env);
			_exit(1);
		}
		if (waitpid(must(child, "vfork"), &status, 0) < 0 || status)
			fail("a service");
	}
	return n * atol(calls);
}

/* full SECONDS OPTION: calls as fast as it goes. */
static long full(long seconds, int option)
{
	uint64_t end = now() + seconds * 1000000000ULL;
	int fd = tcp();
	long n = 0;

	for (; now() < end; n += 100)
		for (int i = 0; i < 100; i++)
			get(fd, SOL_SOCKET, option);
	return n;
}

/* uring-first N: N requests, then a call for each line. */
static long uring_first(long n)
{
	int fd = tcp();

	for (long i = 0; i < n; i++)
		get_uring(fd, SOL_SOCKET, SO_TYPE);
	submit();
	report(n);
	for (; next_line(); n++)
		get(fd, SOL_SOCKET, SO_TYPE);
	return n;
}

/* overwritten OPTION HOW: a call, then its environment is gone (0), or names another service
 * (1); then a call with the option for each line. */
static long overwritten(int option, int how)
{
	int fd = tcp();
	long n = 1;

	get(fd, SOL_SOCKET, SO_TYPE);
	for (char **e = environ; *e; e++) {
		char *from = how ? strchr(*e, '=') + 1 : *e;

		memset(from, 'x', strlen(from));
	}
	report(n);
	for (; next_line(); n++)
		get(fd, SOL_SOCKET, option);
	return n;
}

/* processes AT MS: each line has a number of processes, which come and go; AT run at a
 * time. Each makes three calls, a pause of MS after each. */
static long processes(long at, long ms)
{
	long made = 0, n;

	while (scanf("%ld", &n) == 1) {
		long running = 0;

		for (long i = 0; i < n; i++) {
			pid_t child;

			if (running == at) {
				must(wait(NULL), "wait");
				running--;
			}
			child = must(fork(), "fork");
			if (child == 0) {
				int fd = tcp();

				for (int j = 0; j < 3; j++) {
					get(fd, SOL_SOCKET, SO_TYPE);
					pause_ms(ms);
				}
				_exit(0);
			}
			running++;
		}
		for (; running; running--)
			must(wait(NULL), "wait");
		made += 3 * n;
		report(made);
	}
	return made;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	long a = argc > 2 ? atol(argv[2]) : 0, b = argc > 3 ? atol(argv[3]) : 0, made;

	if (!strcmp(what, "invent"))
		made = invent(a);
	else if (!strcmp(what, "ways"))
		ways();
	else if (!strcmp(what, "fail"))
		fail_fast();
	else if (!strcmp(what, "fail-uring"))
		fail_uring();
	else if (!strcmp(what, "refused"))
		made = refused(a, b);
	else if (!strcmp(what, "refused-by-six"))
		made = refused_by_six(a);
	else if (!strcmp(what, "invent-peers"))
		made = invent_peers(a);
	else if (!strcmp(what, "call"))
		made = call(a);
	else if (!strcmp(what, "services") && argc > 5)
		made = services(argv[0], argv[2], b, atol(argv[4]), argv[5],
				argc > 6 ? atoi(argv[6]) : 0);
	else if (!strcmp(what, "full"))
		made = full(a, b);
	else if (!strcmp(what, "uring-first"))
		made = uring_first(a);
	else if (!strcmp(what, "overwritten"))
		made = overwritten(a, b);
	else if (!strcmp(what, "processes"))
		made = processes(a, b);
	else
		fail(what);
	if (!(argc > 3 && !strcmp(argv[3], "quiet")))
		report(made);
	return 0;
}
