/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The series of a call. A call is counted before it is sampled or emitted, so a full
 * ring buffer does not change the counts.
 *
 * User space takes the counts of a slot, and may free the slot at any time: it deletes
 * the key from the index, then from the slot, waits for the programs that run, and takes
 * the rest. A program counts into a slot only after it has found its key there, or in the
 * index, in the same run. So no call is counted under another key, and none is lost.
 */
#ifndef GETSOCKOPT_SERIES_H
#define GETSOCKOPT_SERIES_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "histogram.h"
#include "kernel.h"
#include "maps.h"
#include "records.h"

#define OVERFLOW_SLOT(index, pending) (2 * (index) + ((pending) ? 1 : 0))

#define MAX_ERRNO 4095 /* include/linux/err.h */

/* The result of a call, through any entry point. */
struct call_result {
	__u64 duration; /* ns */
	__s32 ret;
	__u16 pending; /* pending error that SO_ERROR returned, 0 for none */
};

static __always_inline struct series_key key_of(const struct running_call *call, __u32 group,
						const struct call_result *res)
{
	__s32 failed = res->ret >> 31; /* every bit, or none: no branch, see call_exit() */
	struct series_key key = {
		.group = group,
		.level = call->level,
		.option = call->option,
		.error = (-res->ret & failed) | res->pending,
		.entry = call->entry,
		.pending = res->pending != 0,
	};

	return key;
}

static __always_inline bool same_key(const struct series_key *a, const struct series_key *b)
{
	const __u64 *x = (const void *)a, *y = (const void *)b;

	return x[0] == y[0] && x[1] == y[1];
}

/* The same without a branch in between, which is hard to predict where each call is another. */
static __always_inline bool same_key_as_last(const struct series_key *a, const struct series_key *b)
{
	const __u64 *x = (const void *)a, *y = (const void *)b;
	__u64 second = x[1] ^ y[1];

	barrier_var(second);
	return !((x[0] ^ y[0]) | second);
}

/* Whether a slot has the key, or a part of it: one that is being written or deleted. */
static __always_inline bool same_or_no_key(const struct series_counts *counts,
					   const struct series_key *key)
{
	const __u64 *x = (const void *)&counts->key, *y = (const void *)key;
	__u64 first = READ_ONCE(x[0]), second = READ_ONCE(x[1]);

	return (first == y[0] || first == ~0ULL) && (second == y[1] || second == ~0ULL);
}

/* Odd numbers with well mixed bits. */
#define HASH_MULTIPLIER_1 0x9e3779b97f4a7c15
#define HASH_MULTIPLIER_2 0xd6e8feb86659fd93

/* User space computes that of a peer too (peerHash in internal/probe). */
static __always_inline __u64 hash_words(const __u64 *words, __u32 count)
{
	__u64 hash = hash_seed;

	for (__u32 i = 0; i < count; i++) {
		hash = (hash ^ words[i]) * HASH_MULTIPLIER_2;
		hash ^= hash >> 32;
	}
	return hash;
}

/* A hash of the key, never 0. It is written after the key: a reader that finds the hash
 * of the key it read has a whole key. User space computes it too (keyHash in
 * internal/probe). */
static __always_inline __u64 hash_key(const struct series_key *key)
{
	const __u64 *half = (const void *)key;
	__u64 hash = half[0] * HASH_MULTIPLIER_1 + half[1];

	hash = (hash ^ hash >> 32) * HASH_MULTIPLIER_2;
	return (hash ^ hash >> 32) | 1;
}

/* The counts of a series for this CPU. */
static __always_inline struct series_counts *counts_of(__u32 series)
{
	if (shard_mask)
		series += (bpf_get_smp_processor_id() & shard_mask) * series_limit;
	return bpf_map_lookup_elem(&series_counts, &series);
}

/* The slot of a key by the index, 0 for none. */
static __always_inline __u32 indexed_slot(const struct series_key *key, __u64 hash)
{
	__u64 *known = bpf_map_lookup_elem(&series_index, key), entry;
	struct series_counts *counts;
	__u32 id;

	if (!known)
		return 0;
	entry = READ_ONCE(*known);
	if ((entry ^ hash) >> SLOT_BITS)
		return 0; /* the element is of another key by now */
	id = entry & ((1 << SLOT_BITS) - 1);
	counts = counts_of(id - first_slot);
	/* If the slot has no key yet, or no more, it is still the key's in this run. */
	return counts && same_or_no_key(counts, key) ? id : 0;
}

/* Dynamic thresholds (Choudhury and Hahne, 1998): each may hold so many times of what
 * is left for it, so that something always is. User space sets lower shares, and
 * takes back what is above them. */
#define SHARE_OF_REST 8

/* How many an owner may hold of what has so many left. Its fair share is its own, also
 * while others hold more than theirs. */
static __always_inline __s64 owner_limit(__s64 left, __u32 fair)
{
	return left * SHARE_OF_REST > fair ? left * SHARE_OF_REST : fair;
}

static __always_inline bool may_have_slot(const struct group_state *g, const struct owner_state *o)
{
	__s64 limit = owner_limit(READ_ONCE(shares.free_slots), shares.fair_slots);
	__s64 by_owner = READ_ONCE(o->slots), by_group = READ_ONCE(g->slots);

	return by_owner < limit && by_owner < shares.slots_of_owner &&
	       by_group < SHARE_OF_REST * (limit - by_owner) && by_group < o->slots_of_group;
}

/* The calls of always_keep have the threshold 0 while there are few. */
static __always_inline void init_samplers(struct series_slot *slot, bool failed)
{
	struct sampler fresh = { .own.limit = ~0U, .settled = !spans_limited };

	slot->lifted = fresh;
	if (!(failed && keep_failed))
		fresh.own.threshold = ratio_threshold;
	slot->sampler = fresh;
}

static __always_inline void write_key(__u32 series, const struct series_key *key)
{
	struct series_counts *counts;

	for (__u32 shard = 0; shard < SHARDS_MAX && shard <= shard_mask; shard++) {
		counts = bpf_map_lookup_elem(&series_counts, &series);
		if (counts)
			counts->key = *key;
		series += series_limit;
	}
}

/* Set in the slot of an overflow if another attempt may find a place. */
#define SLOT_MISSED (1U << 31)

static __always_inline __u32 new_slot(const struct series_key *key, __u64 hash,
				      struct group_state *g)
{
	__u32 overflow = OVERFLOW_SLOT(GROUP_INDEX(key->group), key->pending), owner = g->owner, id;
	struct owner_state *o = bpf_map_lookup_elem(&owner_states, &owner);
	struct series_slot *slot;
	__u64 entry;
	long err;

	if (!o || !may_have_slot(g, o))
		return overflow;
	err = bpf_map_pop_elem(&free_slots, &id);
	if (err)
		return err == -EBUSY ? overflow | SLOT_MISSED : overflow;
	slot = bpf_map_lookup_elem(&series, &id);
	if (!slot) /* never: every id of the freelist is in the array */
		return overflow;
	init_samplers(slot, key->error);
	entry = (hash & ~((1ULL << SLOT_BITS) - 1)) | id;
	if (bpf_map_update_elem(&series_index, key, &entry, BPF_NOEXIST)) {
		/* Another CPU was first. Its slot may be freed by now; or the kernel did not get
		 * a lock, see give_back. */
		give_back(&free_slots, &id);
		id = indexed_slot(key, hash);
		return id ? id : overflow | SLOT_MISSED;
	}
	__sync_fetch_and_add(&shares.free_slots, -1);
	__sync_fetch_and_add(&g->slots, 1);
	__sync_fetch_and_add(&o->slots, 1);
	write_key(id - first_slot, key);
	WRITE_ONCE(slot->key_hash, hash);
	return id;
}

/* Replaces what has no name. True if there is such. */
static __always_inline bool replace_nameless(struct series_key *key)
{
	struct option_key name = { .level = key->level, .option = key->option };

	if (bpf_map_lookup_elem(&named_options, &name))
		return false;
	key->option = CODE_OTHER;
	name.option = 0;
	name.any_option = 1;
	if (!bpf_map_lookup_elem(&named_options, &name))
		key->level = CODE_OTHER;
	return true;
}

/* The slot of a key that is neither the thread's last nor in a hint. The key comes as its
 * two halves: this function is verified once, which takes no pointers. */
__noinline int search_slot(__u64 first, __u64 second)
{
	__u64 halves[2] = { first, second }, hash;
	struct series_key *key = (void *)halves;
	__u32 index = GROUP_INDEX(key->group), id;
	struct group_state *g;

	hash = hash_key(key);
	id = indexed_slot(key, hash);
	if (!id) {
		g = bpf_map_lookup_elem(&group_states, &index);
		/* None, or one that was given to another. */
		if (index == GROUP_OVERFLOW || !g || g->number != key->group)
			return OVERFLOW_SLOT(GROUP_OVERFLOW, key->pending);
		if (key->pending != PENDING_OF_PEER && replace_nameless(key)) {
			hash = hash_key(key);
			id = indexed_slot(key, hash);
		}
		if (!id)
			id = new_slot(key, hash, g);
	}
	if (id >= first_slot && !(id & SLOT_MISSED))
		WRITE_ONCE(hints[hash >> (64 - HINT_BITS)], id - first_slot);
	return id;
}

/* The counts of a series that is not the thread's last one. NULL for an overflow, whose
 * slot is stored instead. */
static __always_inline struct series_counts *search_counts(const struct series_key *key,
							   __u32 *series, __u32 *overflow)
{
	const __u64 *half = (const void *)key;
	struct series_counts *counts;
	__u32 id;

	*series = READ_ONCE(hints[hash_key(key) >> (64 - HINT_BITS)]);
	counts = counts_of(*series);
	if (counts && same_key(&counts->key, key))
		return counts;
	id = search_slot(half[0], half[1]);
	if (id & SLOT_MISSED)
		id = search_slot(half[0], half[1]) & ~SLOT_MISSED;
	if (id >= first_slot) {
		*series = id - first_slot;
		return counts_of(*series);
	}
	counter_inc(series_overflow);
	*overflow = id;
	return NULL;
}

/* The same, first by the series that came after the thread's last one before: programs make
 * the same calls in turn. A hint is a cache line more. Threads that make other calls replace
 * each other's: a store to a line to which their CPU has just added a call. */
static __always_inline struct series_counts *find_counts(const struct series_key *key,
							 struct series_counts *last, __u32 *series,
							 __u32 *overflow)
{
	struct series_counts *counts;

	if (last) {
		__u32 next = READ_ONCE(last->next);

		counts = counts_of(next);
		if (counts && same_key(&counts->key, key)) {
			*series = next;
			return counts;
		}
	}
	counts = search_counts(key, series, overflow);
	if (counts && last)
		WRITE_ONCE(last->next, *series);
	return counts;
}

/* False if the cell is full, or there is none. */
static __always_inline bool count_in_cell(__u64 *cells, __u32 cell, __u32 count, __u64 duration)
{
	/* The check must come last before the use, see read_value. */
	barrier_var(cell);
	if (cell >= count || (__s64)READ_ONCE(cells[cell]) < 0)
		return false;
	__sync_fetch_and_add(&cells[cell], (1ULL << CALL_SHIFT) + duration);
	return true;
}

/* Counts a call that is not common, or of an overflow. True if that bucket is full: the
 * receiver has not taken its calls for minutes. */
__noinline int count_rare(__u32 id, __u32 bucket, __u64 duration)
{
	__u32 at = id - first_slot; /* none of an overflow */
	struct slow_counts *slow = bpf_map_lookup_elem(&slow_counts, &at);
	struct series_slot *slot;

	if (slow && count_in_cell(slow->cells, bucket - COMMON_BUCKETS, SLOW_BUCKETS, duration))
		return 0;
	slot = bpf_map_lookup_elem(&series, &id);
	if (!slot || bucket >= HISTOGRAM_BUCKETS || READ_ONCE(slot->buckets[bucket]) >= BUCKET_FULL)
		return 1;
	__sync_fetch_and_add(&slot->buckets[bucket], 1);
	__sync_fetch_and_add(&slot->sum, duration);
	return 0;
}

/* Where a call was counted. */
struct counted {
	struct series_slot *slot;     /* NULL without spans, and if that was not possible */
	struct series_counts *counts; /* NULL for an overflow */
};

/* Counts a call. A group that was freed during the call becomes GROUP_OVERFLOW. */
static __always_inline void count_in_series(const struct series_key *key, __u32 *group,
					    struct series_cache *cache,
					    const struct call_result *res, struct counted *to)
{
	__u32 last = cache->series, bucket = bucket_of(res->duration), id = 0;
	struct series_counts *counts = counts_of(last);
	bool common;

	if (!counts || !same_key_as_last(&counts->key, key)) {
		counts = find_counts(key, counts, &last, &id);
		if (counts) {
			cache->series = last;
			cache->copy_rule = 0;
		} else if (id <= OVERFLOW_SLOT(GROUP_OVERFLOW, true)) {
			*group = GROUP_OVERFLOW;
		}
	}
	common = counts && count_in_cell(counts->cells, bucket, COMMON_BUCKETS, res->duration);
	if (common && !spans_enabled)
		return;
	if (counts)
		id = last + first_slot;
	if (!common && count_rare(id, bucket, res->duration)) {
		counter_inc(no_storage);
	} else if (spans_enabled) {
		to->counts = counts;
		to->slot = bpf_map_lookup_elem(&series, &id);
	}
}

static __always_inline void count_call(const struct running_call *call, __u32 *group,
				       struct series_cache *cache, const struct call_result *res,
				       struct counted *to)
{
	struct series_key key = key_of(call, *group, res);

	count_in_series(&key, group, cache, res, to);
}

#endif
