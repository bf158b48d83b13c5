// SPDX-License-Identifier: Apache-2.0
//
// Publishes thread contexts by OTEP 4947 in threads and processes that come and go, while the
// library that publishes is loaded and unloaded. It waits for a line of its standard input
// once that is loaded for the first time.
//
// The calls with the options FIRST and above are in a context whose ids consist of the
// distance from FIRST; those with the options NONE and above are in none. A process with the
// pid of another one that has ended makes calls with the options REUSED and above, whose ids
// consist of the distance from FIRST.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/sched.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "record.h"

#define FIRST 4000
#define NONE 4300
#define REUSED 4100
#define THREADS 64
#define AT_ONCE 4
#define ROUNDS 8
#define PROCESSES 16

static void call(int option)
{
	int value;
	socklen_t length = sizeof(value);

	getsockopt(0, SOL_SOCKET, option, &value, &length);
}

static void call_in(int option, void (*set_context)(void *))
{
	struct record r = { .valid = 1 };

	memset(&r, option - FIRST, sizeof(r.trace) + sizeof(r.span));
	set_context(&r);
	call(option);
	set_context(NULL);
}

static void *load(void (**set_context)(void *))
{
	void *library = dlopen(LIBRARY, RTLD_NOW);

	if (!library)
		fail(dlerror());
	*set_context = (void (*)(void *))dlsym(library, "set_context");
	(*set_context)(NULL);
	return library;
}

static void *thread(void *argument)
{
	int n = (intptr_t)argument;
	void (*set_context)(void *);

	for (int i = 0; i < ROUNDS; i++) {
		void *library = load(&set_context);

		call_in(FIRST + n, set_context);
		call(NONE + n);
		dlclose(library);
		call(NONE + n);
	}
	return NULL;
}

// Makes a call in a process, with a pid if that is not 0, and returns its pid.
static pid_t process(pid_t pid, int option, void (*set_context)(void *))
{
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = pid ? (uintptr_t)&pid : 0,
				   .set_tid_size = pid != 0 };
	pid_t child = syscall(SYS_clone3, &args, sizeof(args));

	if (child == 0) {
		call_in(option, set_context);
		_exit(0);
	}
	if (child < 0 || waitpid(child, NULL, 0) != child)
		fail("start a process");
	return child;
}

int main(void)
{
	void (*set_context)(void *);
	void *library = load(&set_context);
	pthread_t threads[AT_ONCE];
	char *named = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	prctl(0x53564d41 /* PR_SET_VMA */, 0 /* PR_SET_VMA_ANON_NAME */, named, 4096, "OTEL_CTX");
	if (getchar() == EOF)
		fail("wait for a line");
	for (int i = 1; i <= PROCESSES; i++)
		process(process(0, FIRST + i, set_context), REUSED + i, set_context);
	dlclose(library);
	for (int first = 1; first <= THREADS; first += AT_ONCE) {
		for (int i = 0; i < AT_ONCE; i++)
			if (pthread_create(&threads[i], NULL, thread,
					   (void *)(intptr_t)(first + i)))
				fail("create a thread");
		for (int i = 0; i < AT_ONCE; i++)
			pthread_join(threads[i], NULL);
	}
	return 0;
}
