// SPDX-License-Identifier: Apache-2.0
//
// Publishes thread contexts by OTEP 4947, makes getsockopt calls, and prints for each one
// its option, and the ids and the flags of the context that it has: zeros for none.
//
// It waits for a line of its standard input once its publisher is loaded. With LIBRARY it
// loads that library, otherwise it is linked with one, or contains it. With the variable
// CONTEXT_FILE it has a context in that file, too. With CALLS_32BIT it makes a call as
// 32-bit programs do.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blocked.h"
#include "record.h"
#ifdef LIBRARY
#include <dlfcn.h>
#include <link.h>
static void (*set_context)(void *);
#else
void set_context(void *);
#endif

// call makes a call with an option of its own.
static void call(int option, const struct record *context)
{
	int value;
	socklen_t length = sizeof(value);

	show(option, context);
	getsockopt(0, SOL_SOCKET, option, &value, &length);
}

static struct record record(int seed)
{
	struct record r = { .valid = 1, .flags = seed & 3 };

	for (unsigned i = 0; i < sizeof(r.trace); i++)
		r.trace[i] = seed + i;
	for (unsigned i = 0; i < sizeof(r.span); i++)
		r.span[i] = seed * 7 + i + 1;
	return r;
}

// The contexts of one thread, one after the other.
static void contexts(int option)
{
	struct record r = record(option);
	long page = sysconf(_SC_PAGESIZE);
	char *pages =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE))
		fail("map pages");
	set_context(&r);
	call(option++, &r);
	r = record(option); // the same record, changed
	call(option++, &r);
	r.valid = 0; // as while it is changed
	call(option++, NULL);
	r.valid = 2;
	call(option++, NULL);
	r.valid = 1;
	memset(r.trace, 0, sizeof(r.trace));
	call(option++, NULL);
	r = record(option);
	memset(r.span, 0, sizeof(r.span));
	call(option++, NULL);
	// At the end of what is mapped, and beyond it; not aligned.
	struct record *last = (void *)(pages + page - sizeof(r));
	*last = record(option);
	set_context(last);
	call(option++, last);
	set_context(pages + page - sizeof(r) / 2);
	call(option++, NULL);
	struct record *odd = (void *)(pages + 1);
	*odd = record(option);
	set_context(odd);
	call(option++, odd);
	set_context(blocked_page(page));
	call(option++, NULL);
	static const uintptr_t garbage[] = {
		1, 0x10, 0x7fffffffe000, 0x800000000000, 0xdeadbeefdeadbeef, -4096, -1
	};
	for (unsigned i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		set_context((void *)garbage[i]);
		call(option++, NULL);
	}
	set_context(NULL);
	call(option++, NULL);
	munmap(pages, 2 * page);
}

static struct record updated;
static int interrupted_option;

// A handler's calls are in the context of the thread that it interrupts, unless that is just
// changed.
static void on_signal(int number)
{
	(void)number;
	call(interrupted_option++, updated.valid ? &updated : NULL);
}

// A context that is changed as OTEP 4947 asks for, with a signal between any two steps.
static void interrupted(int option)
{
	static char stack[1 << 16];
	stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	struct record next = record(option + 1);

	if (sigaltstack(&other, NULL) || sigaction(SIGUSR1, &action, NULL))
		fail("handle a signal");
	interrupted_option = option;
	updated = record(option);
	set_context(&updated);
	raise(SIGUSR1);
	updated.valid = 0;
	raise(SIGUSR1);
	memcpy(updated.trace, next.trace, sizeof(next.trace));
	raise(SIGUSR1);
	memcpy(updated.span, next.span, sizeof(next.span));
	raise(SIGUSR1);
	updated.flags = next.flags;
	updated.valid = 1;
	raise(SIGUSR1);
	set_context(NULL);
}

#ifdef __x86_64__
static sigjmp_buf refused;

static void on_refusal(int number)
{
	siglongjmp(refused, number);
}

// A call as 32-bit programs make it, if the kernel runs them. It has no parent.
static void call_32bit(int option)
{
	struct sigaction action = { .sa_handler = on_refusal };
	struct record r = record(option);
	long number = 365;
	int *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
			-1, 0);

	if (low == MAP_FAILED || sigaction(SIGSEGV, &action, NULL))
		fail("prepare a 32-bit call");
	set_context(&r);
	if (!sigsetjmp(refused, 1)) {
		asm volatile("int $0x80"
			     : "+a"(number)
			     : "b"(0L), "c"((long)SOL_SOCKET), "d"((long)option), "S"(low),
			       "D"(low + 1)
			     : "memory", "r8", "r9", "r10", "r11");
		show(option, NULL);
	}
	set_context(NULL);
}
#endif

static void *publishing_thread(void *option)
{
	struct record r = record((intptr_t)option);

	set_context(&r);
	call((intptr_t)option, &r);
	set_context(NULL);
	return NULL;
}

static void *silent_thread(void *option)
{
	call((intptr_t)option, NULL);
	return NULL;
}

static pthread_barrier_t loaded;

// A thread from before the library is loaded.
static void *early_thread(void *option)
{
	pthread_barrier_wait(&loaded);
	pthread_barrier_wait(&loaded);
	call((intptr_t)option, NULL);
	publishing_thread(option + 1);
	return NULL;
}

static pthread_t thread(void *(*run)(void *), intptr_t option)
{
	pthread_t t;

	if (pthread_create(&t, NULL, run, (void *)option))
		fail("create a thread");
	return t;
}

#ifdef LIBRARY
// Zeros take the place of the library, with its slots. musl keeps it.
static void unload(void *library)
{
	struct link_map *map;
	long length = 5 * sysconf(_SC_PAGESIZE);

	if (dlinfo(library, RTLD_DI_LINKMAP, &map))
		fail(dlerror());
	void *at = (void *)map->l_addr;
	dlclose(library);
	void *zeros = mmap(at, length, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);
	if (zeros == MAP_FAILED && errno != EEXIST)
		fail("take the place of the library");
#if defined(__x86_64__) && defined(__GLIBC__)
	// With multiple_threads of its tcbhead_t, which older versions set, what the thread
	// pointer points to looks like a valid context.
	((int *)__builtin_thread_pointer())[6] = 1;
#endif
}
#endif

int main(int argc, char **argv)
{
	int option = argc > 1 ? atoi(argv[1]) : 6000;
	pthread_t early, threads[8];

	if (pthread_barrier_init(&loaded, NULL, 2))
		fail("initialize a barrier");
	early = thread(early_thread, option + 100);
	pthread_barrier_wait(&loaded);
#ifdef LIBRARY
	void *library = dlopen(LIBRARY, RTLD_NOW);
	if (!library)
		fail(dlerror());
	set_context = (void (*)(void *))dlsym(library, "set_context");
#endif
	set_context(NULL); // some compilers lose registers over the first use
	char *named = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	prctl(0x53564d41 /* PR_SET_VMA */, 0 /* PR_SET_VMA_ANON_NAME */, named, 4096, "OTEL_CTX");
	if (getchar() == EOF)
		fail("wait for a line");

	call(option, NULL);
	const char *file = getenv("CONTEXT_FILE");
	if (file) { // a context in a page that nobody may wait for
		int fd = open(file, O_RDONLY);
		void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
		if (page == MAP_FAILED)
			fail(file);
		set_context(page);
		call(option + 50, NULL);
	}
	contexts(option + 1);
	interrupted(option + 60);
#ifdef __x86_64__
	if (getenv("CALLS_32BIT"))
		call_32bit(option + 70);
#endif
	pthread_barrier_wait(&loaded);
	pthread_join(early, NULL);
	for (int i = 0; i < 8; i++)
		threads[i] = thread(i % 2 ? silent_thread : publishing_thread, option + 200 + i);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);

	struct record r = record(option + 300);
	set_context(&r);
	int status;
	pid_t child = fork();
	if (child == 0) {
		call(option + 300, &r);
		exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		fail("fork");
#ifdef LIBRARY
	set_context(NULL);
	unload(library);
	call(option + 301, NULL);
#endif
	if (option == 6000) {
		execl("/proc/self/exe", argv[0], "7000", NULL);
		fail("exec");
	}
	return 0;
}
