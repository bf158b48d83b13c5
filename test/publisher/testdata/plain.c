// SPDX-License-Identifier: Apache-2.0
//
// Publishes nothing. It makes a getsockopt call for each line of its standard input, the
// number of an option, and prints the number.
#include <stdio.h>
#include <sys/socket.h>

int main(void)
{
	int option, value;

	while (scanf("%d", &option) == 1) {
		socklen_t length = sizeof(value);

		getsockopt(0, SOL_SOCKET, option, &value, &length);
		printf("%d\n", option);
		fflush(stdout);
	}
	return 0;
}
