/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The search for a span's parent, see context.h: its state, which is in a scratch buffer, and
 * what the sources of parents share. Its steps are global functions, see scratch.h.
 */
#ifndef GETSOCKOPT_CONTEXT_SEARCH_H
#define GETSOCKOPT_CONTEXT_SEARCH_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "records.h"

struct go_string {
	__u64 at;
	__u64 length;
};

/* The labels of one convention. */
struct go_ids {
	struct go_string trace;
	struct go_string span;
};

struct go_label {
	struct go_string key;
	struct go_string value;
};

#define TRACE_DIGITS 32
#define SPAN_DIGITS 16
#define SPAN_DECIMALS 20 /* of 2^64 - 1 */

/* The beginning of a thread context, as OTEP 4947 lays it out. */
struct thread_context {
	__u8 trace[16];
	__u8 span[8];
	__u8 valid;
	__u8 flags;
};

/* What the dynamic linker wrote, see context_thread.h. */
struct tls_slot {
	__u64 first;
	__u64 second;
};

struct tls_index {
	__u64 module;
	__u64 offset;
	__u64 generation; /* of glibc's descriptors: from which on the entry is the module's */
};

struct tls_vector {
	__u64 entries;
	__u64 unused;
	__u64 generation; /* of glibc */
};

struct context_search {
	struct publisher by;
	struct span_parent parent;
	/* In the thread context: */
	struct thread_context record __attribute__((aligned(8)));
	struct tls_slot slot;
	struct tls_index index;
	struct tls_vector vector;
	__u64 at; /* of the variable */
	/* In the labels of Go: */
	struct go_ids underscored; /* trace_id and span_id, of otel-profiling-go */
	struct go_ids spaced;      /* trace id and span id, of dd-trace-go */
	struct go_string labels;   /* a slice: its address and its length */
	struct go_label label;
	__u64 key; /* eight bytes of a label's */
	__u64 m;   /* the thread's, and what is read of it */
	__u64 of_m;
	__u8 trace[TRACE_DIGITS];
	__u8 span[SPAN_DECIMALS + 4];
};

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
