// SPDX-License-Identifier: Apache-2.0
//
// The record of a thread context by OTEP 4947.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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

static inline void hex(const uint8_t *bytes, int n)
{
	for (int i = 0; i < n; i++)
		printf("%02x", bytes[i]);
	printf(" ");
}

// show prints what context the call with an option has, zeros for none.
static inline void show(int option, const struct record *context)
{
	static const struct record none;

	if (!context)
		context = &none;
	flockfile(stdout);
	printf("%d ", option);
	hex(context->trace, sizeof(context->trace));
	hex(context->span, sizeof(context->span));
	printf("%02x\n", context->flags);
	funlockfile(stdout);
	fflush(stdout);
}
