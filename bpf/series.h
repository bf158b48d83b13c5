/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every call lands in its series, before anything else can go wrong with it.
 */
#ifndef GETSOCKOPT_SERIES_H
#define GETSOCKOPT_SERIES_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "histogram.h"
#include "maps.h"
#include "records.h"

#define OVERFLOW_SLOT(pending) ((pending) ? 1 : 0)

/* A call that has returned, however it came. */
struct outcome {
	__u64 duration;
	__s32 result;
	__u16 pending;
};

static __always_inline struct series_key key_of(const struct running_call *call, __u32 group,
						const struct outcome *o)
{
	struct series_key key = {
		.group = group,
		.level = call->level,
		.option = call->option,
		.error = o->result < 0 ? -o->result : o->pending,
		.entry = call->entry,
		.pending = o->pending != 0,
	};

	return key;
}

static __always_inline bool same_key(const struct series_key *a, const struct series_key *b)
{
	const __u64 *x = (const void *)a, *y = (const void *)b;

	return x[0] == y[0] && x[1] == y[1];
}

/* A hash of the key, never 0. Written behind the key, it tells a key that is
 * there as a whole from one that another CPU is writing. */
static __always_inline __u64 key_hash(const struct series_key *key)
{
	const __u64 *half = (const void *)key;
	__u64 hash = half[0] * 0x9e3779b97f4a7c15 + half[1];

	hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93;
	return (hash ^ hash >> 32) | 1;
}

static __always_inline __u32 new_slot(const struct series_key *key, __u64 check)
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
		*(volatile __u64 *)&slot->check = check;
		return id;
	}
	/* Another CPU was first. */
	bpf_map_push_elem(&free_slots, &id, 0);
	known = bpf_map_lookup_elem(&series_index, key);
	return known ? *known : OVERFLOW_SLOT(key->pending);
}

static __always_inline __u32 find_slot(const struct series_key *key)
{
	__u64 check = key_hash(key);
	__u32 *hint = &hints[check >> (64 - HINT_BITS)];
	__u32 id = *hint, *known;
	struct series_slot *slot = bpf_map_lookup_elem(&series, &id);

	if (slot && slot->check == check && same_key(&slot->key, key))
		return id;
	known = bpf_map_lookup_elem(&series_index, key);
	id = known ? *known : new_slot(key, check);
	if (id >= OVERFLOW_SLOTS)
		*hint = id;
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
		COUNT(series_overflow);
	slot = bpf_map_lookup_elem(&series, &id);
	if (!slot) /* cannot be: ids are made by user space within the array */
		return;
	__sync_fetch_and_add(&slot->value.buckets[bucket_slot(bucket_of(duration))], 1);
	__sync_fetch_and_add(&slot->value.sum, duration);
}

#endif
