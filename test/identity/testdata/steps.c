// SPDX-License-Identifier: Apache-2.0

/*
 * steps STEP...: does what its arguments name, one after the other, and calls
 * getsockopt at "succeed", "fail" and "call". After "call" it reports what the kernel
 * shows of it to itself, and what getenv(3) returns, and stays until its standard input
 * ends.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;
static char **step;
static int proc;

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	_exit(1);
}

static void call(void)
{
	int value, fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t length = sizeof(value);

	must(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length) == 0, "getsockopt");
}

static void failed_call(void)
{
	int value;
	socklen_t length = sizeof(value);

	must(getsockopt(-1, SOL_SOCKET, SO_TYPE, &value, &length) < 0, "getsockopt of no socket");
}

static void report(void)
{
	char path[8192], *name = getenv("OTEL_SERVICE_NAME");
	int length = readlinkat(proc, "self/exe", path, sizeof(path) - 1);

	path[length < 0 ? 0 : length] = 0;
	printf("%s\n%s\n", path, name ? name : "");
	fflush(stdout);
}

/* Writes over the arguments and the environment, as setproctitle() does. */
static void overwrite(char **argv, const char *kind)
{
	char *begin = argv[0], *arguments_end, *end;
	char **copies, **kept;
	int n = 0, variables;

	while (argv[n])
		n++;
	arguments_end = argv[n - 1] + strlen(argv[n - 1]) + 1;
	for (variables = 0; environ[variables]; variables++)
		;
	end = environ[variables - 1] + strlen(environ[variables - 1]) + 1;
	copies = calloc(variables + 1, sizeof(*copies));
	for (int i = 0; i < variables; i++)
		copies[i] = strdup(environ[i]);
	environ = copies;
	kept = calloc(n + 1, sizeof(*kept));
	for (int i = 0; step[i]; i++)
		kept[i] = strdup(step[i]);
	step = kept;
	if (!strcmp(kind, "nul")) {
		memset(begin, 0, end - begin);
		strcpy(begin, "web: worker");
	} else if (!strcmp(kind, "blank")) {
		memset(begin, ' ', end - begin - 1);
		end[-1] = 0;
	} else if (!strcmp(kind, "environment")) { /* and leaves the arguments alone */
		memset(arguments_end, 'x', end - arguments_end - 1);
	} else if (!strcmp(kind, "title")) { /* ends within the first variable */
		memset(begin, 't', arguments_end - begin + 3);
		arguments_end[3] = 0;
	}
}

static void copy_to(int to)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat size;

	must(from >= 0 && to >= 0 && fstat(from, &size) == 0 &&
		     sendfile(to, from, NULL, size.st_size) == size.st_size,
	     "copy");
	close(from);
}

/* The steps that are left, as arguments of another program. */
static char **arguments(void)
{
	*--step = "steps";
	return step;
}

static void in_memfd(const char *name)
{
	int to = memfd_create(name, MFD_CLOEXEC);

	copy_to(to);
	fexecve(to, arguments(), environ);
	must(0, "fexecve");
}

static void descend(int components, const char *name)
{
	int to;

	for (int i = 0; i < components; i++)
		must(mkdir(name, 0755) == 0 && chdir(name) == 0, "descend");
	to = open("deepest", O_WRONLY | O_CREAT, 0755);
	copy_to(to);
	close(to);
	execve("deepest", arguments(), environ);
	must(0, "execve");
}

static void *run(void *argv);

static void in_thread(int main_ends, void *argv)
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, run, argv) == 0, "pthread_create");
	if (main_ends)
		pthread_exit(NULL);
	pthread_join(thread, NULL);
}

/* Until the main thread is a zombie. */
static void wait_for_end(void)
{
	char line[512] = "", *state;

	do {
		int fd = open("/proc/self/stat", O_RDONLY);

		must(fd >= 0 && read(fd, line, sizeof(line) - 1) > 0, "/proc/self/stat");
		close(fd);
		state = strrchr(line, ')');
		must(state != NULL, "/proc/self/stat");
	} while (state[2] != 'Z');
}

static void write_to(const char *file)
{
	int fd = open(file, O_WRONLY);

	must(fd >= 0 && write(fd, "0", 1) == 1, file);
	close(fd);
}

static void *run(void *argv)
{
	while (*step) {
		char *name = *step++;

		if (!strcmp(name, "call")) {
			call();
			report();
			while (getchar() != EOF)
				;
			exit(0);
		} else if (!strcmp(name, "succeed")) {
			call();
		} else if (!strcmp(name, "fail")) {
			failed_call();
		} else if (!strcmp(name, "unlink")) {
			must(unlink(*step++) == 0, "unlink");
		} else if (!strcmp(name, "chroot")) {
			must(chroot(*step++) == 0, "chroot");
		} else if (!strcmp(name, "chdir")) {
			must(chdir(*step++) == 0, "chdir");
		} else if (!strcmp(name, "detach")) {
			must(umount2(*step++, MNT_DETACH) == 0, "umount");
		} else if (!strcmp(name, "overwrite")) {
			overwrite(argv, *step++);
		} else if (!strcmp(name, "memfd")) {
			in_memfd(*step++);
		} else if (!strcmp(name, "descend")) {
			step += 2;
			descend(atoi(step[-2]), step[-1]);
		} else if (!strcmp(name, "namespaces")) {
			must(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0, "unshare");
		} else if (!strcmp(name, "user")) {
			must(syscall(SYS_setresuid, 4321, 4322, 4323) == 0, "setresuid");
		} else if (!strcmp(name, "enter")) {
			write_to(*step++);
		} else if (!strcmp(name, "comm")) {
			pthread_setname_np(pthread_self(), *step++);
		} else if (!strcmp(name, "wait for its end")) {
			wait_for_end();
		} else if (!strcmp(name, "thread")) {
			in_thread(0, argv);
		} else if (!strcmp(name, "last thread")) {
			in_thread(1, argv);
		} else {
			must(0, name);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	(void)argc;
	proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	step = argv + 1;
	run(argv);
	return 0;
}
