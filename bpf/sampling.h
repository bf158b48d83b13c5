/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which calls become spans: consistent probability sampling of OpenTelemetry.
 * A call is kept when its 56 random bits are not below its class's threshold,
 * and carries that threshold, so that any mixture of thresholds stays
 * unbiased.
 */
#ifndef GETSOCKOPT_SAMPLING_H
#define GETSOCKOPT_SAMPLING_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

#define RANDOMNESS_BITS 56
#define RANDOMNESS_END (1ULL << RANDOMNESS_BITS)

enum sampling_class {
	CLASS_REST = 0,
	CLASS_ALWAYS = 1, /* failed and slow calls, as configured */
};

/* User space moves the threshold a few times a second. A burst between two
 * moves is met here: past the limit the share that is kept is halved, and again
 * with each further step. What decides depends on past calls only, never on
 * the call in hand, so no weight is bent. */
static __always_inline __u64 threshold_of(enum sampling_class class)
{
	const struct sampler *s = &samplers[class];
	__u64 keep = RANDOMNESS_END - s->threshold;
	__u64 kept = calls_kept[class], limit = s->limit;

	if (kept > limit) {
		__u64 halvings = 1 + (kept - limit) / (s->step | 1);

		keep >>= halvings < RANDOMNESS_BITS ? halvings : RANDOMNESS_BITS;
		keep |= 1; /* never nothing: some call must stand for the others */
	}
	return RANDOMNESS_END - keep;
}

struct decision {
	__u64 randomness;
	__u64 threshold;
};

/* Most calls of a busy host are dropped here, by the upper 32 random bits; the
 * lower 24 are drawn for the others. */
static __always_inline bool keep_call(enum sampling_class class, struct decision *d)
{
	__u64 upper = bpf_get_prandom_u32();

	d->threshold = threshold_of(class);
	if (upper >= d->threshold >> 24) {
		d->randomness = upper << 24 | (bpf_get_prandom_u32() & 0xffffff);
		if (d->randomness >= d->threshold) {
			__sync_fetch_and_add(&calls_kept[class], 1);
			COUNT(kept[class]);
			return true;
		}
	}
	COUNT(sampled_out[class]);
	return false;
}

#endif
