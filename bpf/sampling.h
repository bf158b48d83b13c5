/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which calls become spans: OpenTelemetry's consistent probability sampling. A call is
 * kept if its 56 random bits are not below the threshold of its series. It carries that
 * threshold, so estimates stay unbiased across thresholds.
 */
#ifndef GETSOCKOPT_SAMPLING_H
#define GETSOCKOPT_SAMPLING_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "series.h"

#define RANDOMNESS_BITS 56
#define RANDOMNESS_END (1ULL << RANDOMNESS_BITS)

/* A threshold has this many digits less in binary, which backends need not store. */
#define PRECISION_BITS 16

static __always_inline bool always_kept(const struct call_result *res)
{
	return (keep_failed && (res->ret < 0 || res->pending)) || res->duration > keep_slower;
}

/* Failed calls have series of their own. Other calls that are always kept share their
 * series with calls that are not: slow ones, and those of an overflow. */
static __always_inline bool is_lifted(const struct series_counts *counts,
				      const struct call_result *res)
{
	__u16 error = counts ? counts->key.error : 0;
	bool failed = error && error <= MAX_ERRNO; /* a slot without a key has neither */

	return always_kept(res) && !(keep_failed && failed);
}

/* The setting on which a sampler that is not settled draws. */
static __always_inline struct setting *unsettled(struct sampler *s, __u32 group)
{
	__u32 index = GROUP_INDEX(group);
	struct group_state *g = bpf_map_lookup_elem(&group_states, &index);
	struct owner_state *o;

	if (!g || g->settled)
		return g ? &g->unsettled : &s->own;
	index = g->owner;
	o = bpf_map_lookup_elem(&owner_states, &index);
	return o ? &o->unsettled : &s->own;
}

/* User space adjusts the settings a few times a second. Bursts in between are limited
 * here: above the limit the share falls with the fourth power of the calls kept. It depends on
 * earlier calls only, never on the current one, so the estimates stay unbiased. */
static __always_inline __u64 lowered(__u64 keep, const struct setting *s)
{
	__u32 kept = READ_ONCE(s->kept), limit = READ_ONCE(s->limit);
	__u64 part, square, least;

	if (kept <= limit)
		return keep;
	least = (__u64)(keep != 0) << PRECISION_BITS;
	part = ((__u64)limit << PRECISION_BITS) / kept;
	square = part * part >> PRECISION_BITS;
	square |= !square;
	keep = (keep >> PRECISION_BITS) * square;
	keep = (keep >> PRECISION_BITS) * square;
	keep &= ~((1ULL << PRECISION_BITS) - 1);
	/* Never zero if it was not: some call must represent the others. */
	return keep ? keep : least;
}

struct decision {
	__u64 randomness;
	__u64 threshold;
};

/* Most calls of a busy host are dropped here, by the upper 32 random bits; the
 * lower 24 are drawn for the others. */
static __always_inline bool keep_call(const struct counted *in, __u32 group,
				      const struct call_result *res, struct decision *d)
{
	bool lifted = is_lifted(in->counts, res);
	struct sampler *s = lifted ? &in->slot->lifted : &in->slot->sampler;
	struct setting *drawn = &s->own;
	__u64 upper = bpf_get_prandom_u32();

	d->threshold = s->own.threshold;
	if (!s->settled) {
		drawn = unsettled(s, group);
		if (drawn->threshold > d->threshold)
			d->threshold = drawn->threshold;
	}
	d->threshold = RANDOMNESS_END - lowered(RANDOMNESS_END - d->threshold, drawn);
	if (upper >= d->threshold >> 24) {
		d->randomness = upper << 24 | (bpf_get_prandom_u32() & 0xffffff);
		if (d->randomness >= d->threshold) {
			__sync_fetch_and_add(&s->own.kept, 1);
			if (drawn != &s->own)
				__sync_fetch_and_add(&drawn->kept, 1);
			return true;
		}
	}
	if (!in->counts || lifted)
		__sync_fetch_and_add(&s->sampled_out, 1);
	else
		__sync_fetch_and_add(&in->counts->sampled_out, 1);
	return false;
}

#endif
