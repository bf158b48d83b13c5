/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the sources of parents share. A search keeps its state in a scratch buffer, and its
 * steps are global functions, see scratch.h.
 */
#ifndef GETSOCKOPT_CONTEXT_SEARCH_H
#define GETSOCKOPT_CONTEXT_SEARCH_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "scratch.h"

/* The result of a search in one source. */
enum parent_search {
	PARENT_ABSENT,
	PARENT_FOUND,
	PARENT_UNREADABLE,
	PARENT_MALFORMED,
};

/* Ids of zeros are none. */
static __always_inline bool has_ids(const struct span_parent *parent)
{
	const __u64 *trace = (const void *)parent->trace, *span = (const void *)parent->span;

	return (trace[0] | trace[1]) && *span;
}

static __always_inline long read_user(void *to, __u32 size, __u64 at)
{
	return bpf_probe_read_user(to, size, (void *)at);
}

#endif
