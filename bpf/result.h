/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a call wrote to the memory of its program.
 */
#ifndef GETSOCKOPT_RESULT_H
#define GETSOCKOPT_RESULT_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "series.h"

/* Most programs keep an int and its length side by side. One read of both costs half
 * of two, and reads of user memory are the largest part of a call's cost. */
static __always_inline void read_neighbours(const struct running_call *call,
					    struct user_result *out)
{
	__u32 both[2];

	if (call->length == call->value + sizeof(__u32) &&
	    bpf_probe_read_user(both, sizeof(both), (void *)call->value) == 0) {
		out->first = both[0];
		out->length = both[1];
		out->first_known = out->length_known = true;
	} else if (call->value == call->length + sizeof(__u32) &&
		   bpf_probe_read_user(both, sizeof(both), (void *)call->length) == 0) {
		out->length = both[0];
		out->first = both[1];
		out->first_known = out->length_known = true;
	}
}

static __always_inline void read_length(const struct running_call *call, struct user_result *out)
{
	out->length_known = call->length && bpf_probe_read_user(&out->length, sizeof(out->length),
								(void *)call->length) == 0;
}

/* Another thread may have overwritten the value. */
static __always_inline __u16 errno_of(__u32 value)
{
	return value < MAX_ERRNO ? value : MAX_ERRNO;
}

/* The pending error that SO_ERROR returned, 0 for none. The length matters only if the
 * value is not 0: the kernel writes the low bytes into a buffer shorter than an int,
 * and one byte holds every errno up to 255. */
static __always_inline __u16 pending_error(const struct running_call *call, struct user_result *out)
{
	__u32 error = 0, length;

	read_neighbours(call, out);
	if (!out->first_known &&
	    bpf_probe_read_user(&out->first, sizeof(out->first), (void *)call->value) == 0)
		out->first_known = true;
	if (out->first_known && out->first == 0)
		return 0;
	if (!out->length_known)
		read_length(call, out);
	length = out->length_known ? out->length : 0;
	if (out->first_known) {
		if (length < sizeof(error))
			out->first &= (1U << 8 * length) - 1;
		return errno_of(out->first);
	}
	/* A buffer shorter than an int may end at the end of a mapping. */
	if (length >= sizeof(error))
		length = 0;
	/* Otherwise the compiler makes one comparison of both bounds, from which a
	 * verifier before 7.x learns neither. */
	barrier_var(length);
	if (length == 0 || bpf_probe_read_user(&error, length, (void *)call->value))
		counter_inc(value_read_errors);
	return errno_of(error);
}

static __always_inline bool is_so_error(const struct running_call *call)
{
	return *(const __u64 *)&call->level == (SOL_SOCKET | (__u64)SO_ERROR << 32);
}

#endif
