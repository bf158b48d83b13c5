// SPDX-License-Identifier: Apache-2.0
//
// Publishes thread contexts by OTEP 4947, makes getsockopt calls, and prints for each one
// its option, and the ids and the flags of the context that it has: zeros for none.
//
// It waits for a line of its standard input once its publisher is loaded. With LIBRARY it
// loads that library, otherwise it is linked with one, or contains it. With the variable
// CONTEXT_FILE it has a context in that file, too.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef LIBRARY
#include <dlfcn.h>
#include <link.h>
static void (*set_context)(void *);
#else
void set_context(void *);
#endif

struct record {
	uint8_t trace[16];
	uint8_t span[8];
	uint8_t valid;
	uint8_t flags;
	uint16_t attributes;
} __attribute__((packed));

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void hex(const uint8_t *bytes, int n)
{
	for (int i = 0; i < n; i++)
		printf("%02x", bytes[i]);
	printf(" ");
}

// call makes a call with an option of its own, and prints what context it has.
static void call(int option, const struct record *context)
{
	static const struct record none;
	int value;
	socklen_t length = sizeof(value);

	if (!context)
		context = &none;
	flockfile(stdout);
	printf("%d ", option);
	hex(context->trace, sizeof(context->trace));
	hex(context->span, sizeof(context->span));
	printf("%02x\n", context->flags);
	funlockfile(stdout);
	fflush(stdout);
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
