/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The record of a sampled call. It is built in place in the ring buffer, from what the
 * kernel knows and what the call returned to the program.
 */
#ifndef GETSOCKOPT_EMIT_H
#define GETSOCKOPT_EMIT_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "ring.h"
#include "sampling.h"
#include "series.h"
#include "socket.h"

/* How many bytes of the value of a call may be copied; 0 for none. Other bytes are not
 * read at all. */
static __always_inline __u32 may_copy(struct series_cache *cache,
				      const struct series_counts *counts,
				      const struct running_call *call,
				      const struct call_result *res)
{
	struct copy_rule_key key = { .level = call->level, .option = call->option };
	/* A slot that has a key is the one in the cache. */
	bool cached = counts && counts->key.level == call->level &&
		      counts->key.option == call->option && counts->key.entry == call->entry;
	__u32 *rule, allowed;

	if (!values_enabled || res->ret < 0)
		return 0;
	if (cached && cache->copy_rule)
		return cache->copy_rule - 1;
	rule = bpf_map_lookup_elem(&copy_rules, &key);
	allowed = rule ? *rule : 0;
	if (cached)
		cache->copy_rule = allowed + 1;
	return allowed;
}

/* How many bytes of the value to copy. */
static __always_inline __u32 value_length(const struct running_call *call, __u32 allowed,
					  const struct user_result *out)
{
	__u32 length = out->length;

	if (!out->length_known)
		return 0;
	if (call->flags & CALL_LENGTH_IN && length > call->length_in)
		length = call->length_in;
	if (length > allowed)
		length = allowed;
	if (length > value_max)
		length = value_max;
	return length;
}

struct unix_paths {
	char local[UNIX_PATH_LENGTH];
	char peer[UNIX_PATH_LENGTH];
} __attribute__((aligned(8)));

/* The size classes of what follows a record: an int, a time or an IPv4 address; a
 * structure, or the paths of a Unix socket with a small value; the longest value by
 * default; and the longest of all. bpf_ringbuf_reserve() takes constant sizes only,
 * and the reader ignores the unused end. */
#define VALUE_MAX 4096
#define TAIL_SMALL 16
#define TAIL_MIDDLE 320
#define TAIL_DEFAULT (sizeof(struct unix_paths) + 512)
#define TAIL_MAX (sizeof(struct unix_paths) + VALUE_MAX)

#define RESERVE(tail) bpf_ringbuf_reserve(&events, sizeof(struct call_record) + (tail), 0)

static __always_inline struct call_record *reserve(__u32 need, __u64 *capacity)
{
	if (need <= TAIL_SMALL) {
		*capacity = TAIL_SMALL;
		return RESERVE(TAIL_SMALL);
	}
	if (need <= TAIL_MIDDLE) {
		*capacity = TAIL_MIDDLE;
		return RESERVE(TAIL_MIDDLE);
	}
	if (need <= TAIL_DEFAULT) {
		*capacity = TAIL_DEFAULT;
		return RESERVE(TAIL_DEFAULT);
	}
	*capacity = TAIL_MAX;
	return RESERVE(TAIL_MAX);
}

static __always_inline void fill_record(struct call_record *r, const struct running_call *call,
					const struct origin *origin, const struct call_result *res,
					const struct user_result *out, const struct decision *d,
					const struct span_parent *parent, const struct sender *s)
{
	__builtin_memset(r, 0, sizeof(*r));
	r->header = record_header(RECORD_CALL, origin->group, s);
	r->entry = call->entry;
	r->flags = call->flags;
	r->process = origin->process;
	r->start = call->start;
	r->duration = res->duration;
	r->randomness = d->randomness;
	r->threshold = d->threshold;
	r->tid = origin->tid;
	r->cpu = bpf_get_smp_processor_id();
	r->fd = call->fd;
	r->level = call->level;
	r->option = call->option;
	r->result = res->ret;
	r->error = res->pending;
	r->length_in = call->length_in;
	if (out->length_known) {
		r->length_out = out->length;
		r->flags |= CALL_LENGTH_OUT;
	}
	if (res->pending)
		r->flags |= CALL_PENDING_ERROR;
	if (parent)
		r->parent = *parent;
	__builtin_memcpy(r->comm, origin->comm, sizeof(r->comm));
}

static __always_inline void read_unix_paths(struct sock *sk, struct call_record *r)
{
	struct unix_paths *paths = (void *)(r + 1);

	__builtin_memset(paths, 0, sizeof(*paths));
	read_unix(sk, &r->local, paths->local);
	read_unix((struct sock *)BPF_CORE_READ((struct unix_sock *)sk, peer), &r->peer,
		  paths->peer);
}

/* Copies the value that the call returned to the tail, which has that capacity at that
 * offset. */
static __always_inline void read_value(struct call_record *r, __u64 at, __u64 capacity,
				       __u64 length, const struct running_call *call,
				       const struct user_result *out)
{
	__u8 *to = (__u8 *)(r + 1) + at;

	if (length == 0)
		return;
	/* The check must come last before the use: before 6.3 the verifier loses the
	 * bounds of a 32-bit number that the compiler spills. The two checks must not
	 * become one comparison, from which it learns nothing before 7.x. */
	barrier_var(length);
	if (length > capacity)
		return;
	if (out->first_known && length <= sizeof(out->first)) {
		*(__u32 *)to = out->first;
	} else if (bpf_probe_read_user(to, length, (void *)call->value)) {
		r->flags |= CALL_VALUE_READ_ERROR;
		counter_inc(value_read_errors);
		return;
	}
	r->flags |= CALL_VALUE;
	r->value_length = length;
}

static __always_inline void emit(const struct running_call *call, const struct origin *origin,
				 const struct call_result *res, const struct user_result *out,
				 const struct decision *d, const struct span_parent *parent,
				 __u32 allowed, struct sock *sk, struct sock_bytes *bytes)
{
	__u32 length = value_length(call, allowed, out);
	__u64 at = 0, capacity, before, after;
	struct call_record *r;
	struct sender sender;
	__u16 family = 0;

	if (!(call->flags & CALL_LENGTH_IN) ||
	    (!out->length_known && call->entry != ENTRY_IO_URING)) /* a failed request has none */
		counter_inc(length_read_errors);
	if (sk && !read_sock_bytes(sk, bytes))
		sk = NULL;
	/* The family is read once, because the offset of the value depends on it: if
	 * another thread closes the descriptor, the memory of the socket is reused. */
	if (sk)
		family = SOCK_FIELD(sk, bytes, skc_family);
	barrier_var(family);
	if (family == AF_UNIX)
		at = sizeof(struct unix_paths);
	if (!find_sender(origin->group, &sender) || !has_room(&sender)) {
		counter_inc(ring_full);
		return;
	}
	before = bpf_ringbuf_query(&events, BPF_RB_PROD_POS);
	r = reserve(at + length, &capacity);
	if (!r) {
		counter_inc(ring_full);
		return;
	}
	fill_record(r, call, origin, res, out, d, parent, &sender);
	count_sent(&sender, sizeof(*r) + capacity);
	if (sk)
		read_socket(sk, bytes, family, r);
	if (at && capacity >= sizeof(struct unix_paths)) {
		read_unix_paths(sk, r);
		read_value(r, sizeof(struct unix_paths), capacity - sizeof(struct unix_paths),
			   length, call, out);
	} else {
		read_value(r, 0, capacity, length, call, out);
	}
	after = bpf_ringbuf_query(&events, BPF_RB_PROD_POS);
	bpf_ringbuf_submit(r, wakeup(before, after));
	counter_inc(submitted);
}

#endif
