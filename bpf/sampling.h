/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which calls become spans: OpenTelemetry's consistent probability sampling. A call is
 * kept if its 56 random bits are not below the threshold of its class. It carries that
 * threshold, so estimates stay unbiased across thresholds.
 */
#ifndef GETSOCKOPT_SAMPLING_H
#define GETSOCKOPT_SAMPLING_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

#define RANDOMNESS_BITS 56
#define RANDOMNESS_END (1ULL << RANDOMNESS_BITS)

enum sampling_class { /* SAMPLING_CLASSES of them */
	CLASS_REST = 0,
	CLASS_ALWAYS = 1, /* failed and slow calls, as configured */
};

/* User space adjusts the threshold a few times a second. Bursts in between are limited
 * here: above the limit the kept share is halved, and again after each further step.
 * The threshold depends on earlier calls only, never on the current one, so the
 * estimates stay unbiased. */
static __always_inline __u64 threshold_of(enum sampling_class class)
{
	const struct sampler *s = &samplers[class];
	__u64 keep = RANDOMNESS_END - s->threshold;
	__u64 kept = calls_kept[class], limit = s->limit;

	if (kept > limit) {
		__u64 halvings = 1 + (kept - limit) / (s->step | 1);

		keep >>= halvings < RANDOMNESS_BITS ? halvings : RANDOMNESS_BITS;
		keep |= 1; /* never zero: some call must represent the others */
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
			counter_inc(kept[class]);
			return true;
		}
	}
	counter_inc(sampled_out[class]);
	return false;
}

#endif
