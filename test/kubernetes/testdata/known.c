// SPDX-License-Identifier: Apache-2.0

/*
 * known CALLS SECONDS: makes as many calls of getsockopt, evenly within the time.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int calls = atoi(argv[1]), pause = atoi(argv[2]) * 1000000 / calls;
	int value, fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t length = sizeof(value);

	for (int i = 0; i < calls; i++) {
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length))
			return 1;
		usleep(pause);
	}
	return 0;
}
