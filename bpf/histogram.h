/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a duration to its bucket. User space makes the tables of the bounds
 * (internal/histogram), so the programs only shift and compare integers.
 */
#ifndef GETSOCKOPT_HISTOGRAM_H
#define GETSOCKOPT_HISTOGRAM_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "records.h"

static __always_inline __u32 log2_u64(__u64 v)
{
	__u32 r = 0;

	if (v >> 32) {
		v >>= 32;
		r += 32;
	}
	if (v >> 16) {
		v >>= 16;
		r += 16;
	}
	if (v >> 8) {
		v >>= 8;
		r += 8;
	}
	if (v >> 4) {
		v >>= 4;
		r += 4;
	}
	if (v >> 2) {
		v >>= 2;
		r += 2;
	}
	if (v >> 1)
		r += 1;
	return r;
}

/* A step is a sixteenth of an octave, narrower than a bucket, so at most one bound lies
 * inside it. The bucket is bucket_first, that of the step's smallest integer, or the
 * next. Buckets are numbered by their slots in a series, see HISTOGRAM_FIRST. */
__noinline int bucket_of_long(__u64 ns)
{
	__u32 power, step, bucket;

	power = log2_u64(ns);
	step = ns >> (power - OCTAVE_BITS) & (OCTAVE_STEPS - 1);
	bucket = bucket_first[(power * OCTAVE_STEPS + step) & (DURATION_STEPS - 1)];
	return ns > bucket_uppers[bucket] ? bucket + 1 : bucket;
}

static __always_inline __u32 bucket_of(__u64 ns)
{
	return ns < SHORT_DURATIONS ? bucket_short[ns] : bucket_of_long(ns);
}

#endif
