/* SPDX-License-Identifier: Apache-2.0 */
/*
 * brief fork N: N children, two at a time, make one getsockopt call each.
 * brief exec N: each of them becomes a program of its own first.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int call(void)
{
	int value, fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length) ? 1 : 0;
}

static pid_t child(char *program, int as_program)
{
	char *arguments[] = { program, NULL };
	pid_t pid;

	if (as_program)
		return posix_spawn(&pid, program, NULL, NULL, arguments, environ) ? -1 : pid;
	pid = fork();
	if (pid == 0)
		_exit(call());
	return pid;
}

int main(int argc, char **argv)
{
	int running = 0, status, failed = 0;

	if (argc == 1)
		return call();
	if (argc != 3)
		return 2;
	for (int left = atoi(argv[2]); left > 0 || running > 0;) {
		if (left > 0 && running < 2) {
			if (child(argv[0], strcmp(argv[1], "exec") == 0) < 0) {
				perror(argv[1]);
				return 1;
			}
			left--;
			running++;
			continue;
		}
		if (wait(&status) < 0 || status != 0)
			failed++;
		running--;
	}
	return failed != 0;
}
