/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shares of owners in the tables of processes that publish something. An element counts for
 * the owner that it names: who inserts it charges the owner, who deletes it discharges the
 * owner. User space does both as well, and counts again from time to time: an element may
 * be exchanged between a lookup and the deletion.
 */
#ifndef GETSOCKOPT_SHARED_TABLE_H
#define GETSOCKOPT_SHARED_TABLE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "series.h"
#include "settings.h"

/* How many times of what is free an owner may hold: dynamic thresholds, as for series. What
 * these tables hold is not taken back, so each owner leaves a third of what it finds. */
#define TABLE_SHARE_OF_REST 2

/* An owner as the tables have it. Owners of one hash have one share. */
static __always_inline __u16 hash_owner(__u64 owner)
{
	return (owner ^ hash_seed) * HASH_MULTIPLIER_1 >> (64 - TABLE_OWNER_BITS);
}

static __always_inline void count_element(enum shared_table table, __u32 owner, __s32 change)
{
	struct table_use *use = &table_uses[table];

	__sync_fetch_and_add(&use->used, change);
	__sync_fetch_and_add(&use->by_owner[owner % TABLE_OWNERS], change);
}

/* Counts one more element for an owner. False if it has its share. */
static __always_inline bool charge(enum shared_table table, __u32 owner)
{
	struct table_use *use = &table_uses[table];
	__s32 left = use->size - READ_ONCE(use->used);

	if (READ_ONCE(use->by_owner[owner % TABLE_OWNERS]) >= TABLE_SHARE_OF_REST * left)
		return false;
	count_element(table, owner, 1);
	return true;
}

static __always_inline void discharge(enum shared_table table, __u32 owner)
{
	count_element(table, owner, -1);
}

/* Deletes the element of a process. Of several programs that do so one succeeds. */
#define delete_shared(map, table, pid)                                         \
	({                                                                     \
		typeof((map).value) element = bpf_map_lookup_elem(&map, &pid); \
		__u32 charged = element ? READ_ONCE(element->owner) : 0;       \
                                                                               \
		if (element && bpf_map_delete_elem(&map, &pid) == 0)           \
			discharge(table, charged);                             \
	})

#endif
