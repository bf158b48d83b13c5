/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Space in the ring buffer. A record may have several KiB, and the reader may be slow. So who
 * sends holds at most some multiple of what is free, as with slots of series. The reader
 * subtracts what it has read.
 */
#ifndef GETSOCKOPT_RING_H
#define GETSOCKOPT_RING_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "settings.h"

/* An owner with many groups leaves a fifth of the ring buffer to others, and one with a
 * single group a third. */
#define RING_SHARE_OF_REST 4

/* Who sends a record. */
struct sender {
	struct ring_use *by_group;
	struct ring_use *by_owner;
	__u32 owner; /* index in owner_states */
};

static __always_inline bool find_sender(__u32 group, struct sender *s)
{
	__u32 index = GROUP_INDEX(group);
	struct group_state *g = bpf_map_lookup_elem(&group_states, &index);

	s->by_group = bpf_map_lookup_elem(&ring_uses, &index);
	if (!g)
		return false;
	s->owner = g->owner;
	index = s->owner;
	s->by_owner = bpf_map_lookup_elem(&ring_uses, &index);
	return s->by_group && s->by_owner;
}

static __always_inline struct record_header record_header(__u8 kind, __u32 group,
							  const struct sender *s)
{
	struct record_header header = {
		.version = RECORD_VERSION,
		.kind = kind,
		.owner = s->owner,
		.group = group,
	};

	return header;
}

static __always_inline bool has_room(const struct sender *s)
{
	__s64 left = ring_size - bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	__s64 by_owner = READ_ONCE(s->by_owner->by_owner);
	__s64 by_group = READ_ONCE(s->by_group->by_group);

	return by_owner + by_group < RING_SHARE_OF_REST * left;
}

/* Not inlined, because the stack of the caller is the longest. */
__noinline int group_has_room(__u32 group)
{
	struct sender s;

	return find_sender(group, &s) && has_room(&s);
}

/* Counts a record of that size. The reader may subtract it earlier: the numbers have signs. */
static __always_inline void count_sent(const struct sender *s, __u32 size)
{
	size = (size + BPF_RINGBUF_HDR_SZ + 7) & ~7U; /* as __bpf_ringbuf_reserve() does */
	__sync_fetch_and_add(&s->by_group->by_group, size);
	__sync_fetch_and_add(&s->by_owner->by_owner, size);
}

/* The reader reads a few times a second, and sleeps when there was nothing. A record
 * wakes it up only if it sleeps, or if the record begins another eighth of the ring
 * buffer: a wakeup for each would cost more than the record. The watermark is a position,
 * not the amount of unread data, which can cross a mark with every record. The record
 * lies between the two positions, together with those that others wrote meanwhile.
 *
 * The reader first stores that it sleeps, and then compares the positions. A record that
 * it does not see there must see that it sleeps. So this is for after the reservation,
 * count_sent() and the query for the position: the second is a barrier on x86, the
 * third an acquire after the kernel's release of the position, which arm64 keeps in order.
 */
static __always_inline __u64 wakeup(__u64 before, __u64 after)
{
	__u64 wakes = ((before ^ after) & -(ring_size / 8)) | READ_ONCE(shares.reader_sleeps);

	return wakes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

#endif
