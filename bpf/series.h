/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The series of a call. A call is counted before it is sampled or emitted, so a full
 * ring buffer does not change the counts.
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

#define OVERFLOW_SLOT(pending) ((pending) ? 1 : 0)

/* The result of a call, through any entry point. */
struct call_result {
	__u64 duration; /* ns */
	__s32 ret;
	__u16 pending; /* pending error that SO_ERROR returned, 0 for none */
};

static __always_inline struct series_key key_of(const struct running_call *call, __u32 group,
						const struct call_result *res)
{
	struct series_key key = {
		.group = group,
		.level = call->level,
		.option = call->option,
		.error = res->ret < 0 ? -res->ret : res->pending,
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

/* Odd numbers with well mixed bits. */
#define HASH_MULTIPLIER_1 0x9e3779b97f4a7c15
#define HASH_MULTIPLIER_2 0xd6e8feb86659fd93

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

static __always_inline __u32 new_slot(const struct series_key *key, __u64 hash)
{
	struct series_slot *slot;
	__u32 *known;
	__u32 id;

	if (bpf_map_pop_elem(&free_slots, &id))
		return OVERFLOW_SLOT(key->pending);
	slot = bpf_map_lookup_elem(&series, &id);
	if (!slot)
		return OVERFLOW_SLOT(key->pending);
	if (bpf_map_update_elem(&series_index, key, &id, BPF_NOEXIST) == 0) {
		slot->key = *key;
		WRITE_ONCE(slot->key_hash, hash);
		return id;
	}
	/* Another CPU was first. */
	bpf_map_push_elem(&free_slots, &id, 0);
	known = bpf_map_lookup_elem(&series_index, key);
	return known ? *known : OVERFLOW_SLOT(key->pending);
}

static __always_inline __u32 find_slot(const struct series_key *key)
{
	__u64 hash = hash_key(key);
	__u32 *hint = &hints[hash >> (64 - HINT_BITS)];
	__u32 id = READ_ONCE(*hint), *known;
	struct series_slot *slot = bpf_map_lookup_elem(&series, &id);

	if (slot && READ_ONCE(slot->key_hash) == hash && same_key(&slot->key, key))
		return id;
	known = bpf_map_lookup_elem(&series_index, key);
	id = known ? *known : new_slot(key, hash);
	if (id >= OVERFLOW_SLOTS)
		WRITE_ONCE(*hint, id);
	return id;
}

static __always_inline void count_call(struct slot_cache *cache, const struct series_key *key,
				       __u64 duration)
{
	struct series_slot *slot;
	__u32 id;

	if (cache->slot && same_key(&cache->key, key)) {
		id = cache->slot;
	} else {
		id = find_slot(key);
		if (id >= OVERFLOW_SLOTS) {
			cache->key = *key;
			cache->slot = id;
			cache->copy_rule = UNKNOWN_RULE;
		}
	}
	if (id < OVERFLOW_SLOTS)
		counter_inc(series_overflow);
	slot = bpf_map_lookup_elem(&series, &id);
	if (!slot) /* never: every id of the freelist is in the array */
		return;
	__sync_fetch_and_add(&slot->value.buckets[bucket_slot(bucket_of(duration))], 1);
	__sync_fetch_and_add(&slot->value.sum, duration);
}

#endif
