/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load of the tests: makes getsockopt calls in every way that could lose
 * one, and reports on its last line how many it made. rig/load.go starts it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int open_socket(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	return fd;
}

static long get(int fd, int option, void *value)
{
	socklen_t length = 4;

	return syscall(SYS_getsockopt, fd, SOL_SOCKET, option, value, &length);
}

/* Of ten calls the last fails. */
static void calls(int fd, long n)
{
	int value;

	for (long i = 0; i < n; i++)
		get(fd, i % 10 == 9 ? 9999 : SO_TYPE, &value);
}

static void report(const char *word)
{
	puts(word);
	fflush(stdout);
}

static void await_word(void)
{
	char line[64];

	if (!fgets(line, sizeof(line), stdin))
		exit(1);
}

/* loop THREADS CALLS: that many calls by each thread. */
static long per_thread;

static void *loop_thread(void *unused)
{
	calls(open_socket(AF_INET, SOCK_STREAM), per_thread);
	return unused;
}

static long loop(long threads, long n)
{
	pthread_t thread[64];

	per_thread = n;
	for (long i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, loop_thread, NULL))
			fail("pthread_create");
	for (long i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	return threads * n;
}

/* fork PROCESSES CALLS: one process after the other, by two parents. */
static long fork_all(long processes, long n)
{
	for (int parent = 0; parent < 2; parent++) {
		if (fork() > 0)
			continue;
		for (long i = 0; i < processes / 2; i++) {
			pid_t child = fork();

			if (child == 0) {
				calls(open_socket(AF_INET, SOCK_STREAM), n);
				_exit(0);
			}
			if (child < 0 || waitpid(child, NULL, 0) != child)
				_exit(1);
		}
		_exit(0);
	}
	for (int parent = 0, status; parent < 2; parent++)
		if (wait(&status) < 0 || status)
			fail("fork");
	return processes / 2 * 2 * n;
}

/* churn: processes come, make 50 calls each and go, as fast as can be, until
 * standard input ends. */
static long churn(void)
{
	struct timeval at_once = {};
	fd_set in;

	for (long made = 0;; made += 50) {
		pid_t child = fork();

		if (child == 0) {
			calls(open_socket(AF_INET, SOCK_STREAM), 50);
			_exit(0);
		}
		if (child < 0 || waitpid(child, NULL, 0) != child)
			fail("fork");
		FD_ZERO(&in);
		FD_SET(0, &in);
		if (select(1, &in, NULL, NULL, &at_once) > 0)
			return made + 50;
	}
}

/* stream: one process, as fast as can be, until standard input ends. */
static long stream(void)
{
	int fd = open_socket(AF_INET, SOCK_STREAM);
	struct timeval at_once = {};
	fd_set in;

	for (long made = 0;; made += 1000) {
		calls(fd, 1000);
		FD_ZERO(&in);
		FD_SET(0, &in);
		if (select(1, &in, NULL, NULL, &at_once) > 0)
			return made + 1000;
	}
}

/* A page whose first touch waits until somebody fills it: a call that is to put
 * its value there stays inside the kernel as long as one likes. */
static int faults;
static void *page;

static void make_page(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	range.range.start = (unsigned long)page;
	range.range.len = 4096;
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) || ioctl(faults, UFFDIO_REGISTER, &range))
		fail("userfaultfd");
}

static void await_fault(void)
{
	struct uffd_msg message;

	if (read(faults, &message, sizeof(message)) != sizeof(message))
		fail("read userfaultfd");
}

static void *call_into_page(void *result)
{
	*(long *)result = get(open_socket(AF_INET, SOCK_STREAM), SO_TYPE, page);
	return NULL;
}

/* hold: one call that begins, reports "inside", and returns after a word. */
static long hold(void)
{
	struct uffdio_zeropage zero = {};
	pthread_t thread;
	long result = -1;

	make_page();
	if (pthread_create(&thread, NULL, call_into_page, &result))
		fail("pthread_create");
	await_fault();
	report("inside");
	await_word();
	zero.range.start = (unsigned long)page;
	zero.range.len = 4096;
	if (ioctl(faults, UFFDIO_ZEROPAGE, &zero))
		fail("fill the page");
	pthread_join(thread, NULL);
	if (result)
		fail("the call that was held");
	return 1;
}

/* killed N: N processes, each killed while a thread of it is inside a call. */
static long killed(long n)
{
	for (long i = 0; i < n; i++) {
		pid_t child = fork();

		if (child == 0) {
			pthread_t thread;
			long result;

			make_page();
			if (pthread_create(&thread, NULL, call_into_page, &result))
				fail("pthread_create");
			await_fault();
			raise(SIGKILL);
		}
		int status;
		if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
			fail("killed");
	}
	return n;
}

/* pids N: N programs, one after the other, under the same process id, the
 * i-th of them a service of the name reuse-i. */
static long reuse_pid(const char *self, long n)
{
	pid_t pid = 0;

	for (long i = 0; i < n; i++) {
		struct clone_args args = { .exit_signal = SIGCHLD };
		char name[64];
		pid_t child;

		if (pid) {
			args.set_tid = (unsigned long)&pid;
			args.set_tid_size = 1;
		}
		do
			child = syscall(SYS_clone3, &args, sizeof(args));
		while (child < 0 && errno == EEXIST); /* somebody else's, for a moment */
		if (child == 0) {
			snprintf(name, sizeof(name), "OTEL_SERVICE_NAME=reuse-%ld", i);
			execle(self, self, "loop", "1", "10", (char *)NULL,
			       (char *[]){ name, NULL });
			_exit(1);
		}
		int status;
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			fail("reuse the pid");
		pid = child;
	}
	return 10 * n;
}

/* descriptors N: the same descriptor is N sockets, one after the other. */
static long reuse_descriptor(long n)
{
	static const struct {
		int family, type;
	} kinds[] = {
		{ AF_INET, SOCK_STREAM },
		{ AF_INET6, SOCK_DGRAM },
		{ AF_UNIX, SOCK_SEQPACKET },
	};

	for (long i = 0; i < n; i++) {
		int value = -1, fd = open_socket(kinds[i % 3].family, kinds[i % 3].type);

		if (get(fd, SO_DOMAIN, &value) || value != kinds[i % 3].family)
			fail("SO_DOMAIN");
		close(fd);
	}
	return n;
}

static unsigned long field(int number)
{
	char line[4096], *at;
	FILE *f = fopen("/proc/self/stat", "r");

	if (!f || !fgets(line, sizeof(line), f))
		fail("/proc/self/stat");
	fclose(f);
	at = strrchr(line, ')') + 2;
	for (int i = 3; i < number; i++)
		at = strchr(at, ' ') + 1;
	return strtoul(at, NULL, 10);
}

/* cold ENVIRONMENT: one call by a process whose environment cannot be read
 * without a page fault meanwhile, as if it were swapped out; then waits for a
 * word. Who stops the reader until "called" sees it as it is afterwards. */
static long cold(const char *environment)
{
	size_t length = strlen(environment) + 1;
	struct prctl_mm_map map = {
		.start_code = field(26),
		.end_code = field(27),
		.start_stack = field(28),
		.start_data = field(45),
		.end_data = field(46),
		.start_brk = field(47),
		.brk = (unsigned long)sbrk(0),
		.arg_start = field(48),
		.arg_end = field(49),
		.exe_fd = -1,
	};
	int value, fd = open_socket(AF_INET, SOCK_STREAM);
	char *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(own, environment, length);
	map.env_start = (unsigned long)own;
	map.env_end = map.env_start + length;
	if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0))
		fail("PR_SET_MM_MAP");
	mprotect(own, 4096, PROT_NONE);
	get(fd, SO_TYPE, &value);
	mprotect(own, 4096, PROT_READ);
	report("called");
	await_word();
	return 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	long a = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
	long b = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
	long made;

	if (!strcmp(what, "loop"))
		made = loop(a, b);
	else if (!strcmp(what, "fork"))
		made = fork_all(a, b);
	else if (!strcmp(what, "churn"))
		made = churn();
	else if (!strcmp(what, "stream"))
		made = stream();
	else if (!strcmp(what, "hold"))
		made = hold();
	else if (!strcmp(what, "killed"))
		made = killed(a);
	else if (!strcmp(what, "pids"))
		made = reuse_pid(argv[0], a);
	else if (!strcmp(what, "descriptors"))
		made = reuse_descriptor(a);
	else if (!strcmp(what, "cold"))
		made = cold(argv[2]);
	else
		return 2;
	printf("%ld\n", made);
	return 0;
}
