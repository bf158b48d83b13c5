/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a duration to its bucket. Bounds are tables made by user space
 * (internal/histogram), so the kernel's arithmetic is integer compares only.
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

/* Sixteen steps an octave: a step is narrower than a bucket, so at most one
 * bound falls inside it, and bucket_first, the bucket of the step's smallest
 * integer, is off by at most one. */
static __always_inline __u32 bucket_of(__u64 ns)
{
	__u32 power, step, bucket;

	if (ns == 0)
		return 0;
	power = log2_u64(ns);
	step = power >= 4 ? (ns >> (power - 4)) & 15 : (ns << (4 - power)) & 15;
	bucket = bucket_first[(power * 16 + step) & 1023];
	if (ns > bucket_uppers[bucket])
		bucket++;
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* Where a bucket is kept. */
static __always_inline __u32 bucket_slot(__u32 bucket)
{
	return bucket < HISTOGRAM_FIRST ? bucket + HISTOGRAM_BUCKETS - HISTOGRAM_FIRST
					: bucket - HISTOGRAM_FIRST;
}

#endif
