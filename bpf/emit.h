/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A call that is kept: its record is put together in the ring, from what the
 * kernel knows and what the program was given.
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
#include "sampling.h"
#include "series.h"
#include "socket.h"

/* How many bytes of the value of a call may be copied; 0 for none. What may not
 * be copied is not read at all. */
static __always_inline __u32 may_copy(struct slot_cache *cache, const struct running_call *call,
				      const struct outcome *o)
{
	struct copy_rule_key key = { .level = call->level, .option = call->option };
	bool cached = cache->slot && cache->key.level == call->level &&
		      cache->key.option == call->option;
	__u32 *rule, allowed;

	if (!values_enabled || o->result < 0)
		return 0;
	if (cached && cache->copy_rule != UNKNOWN_RULE)
		return cache->copy_rule;
	rule = bpf_map_lookup_elem(&copy_rules, &key);
	allowed = rule ? *rule : 0;
	if (cached)
		cache->copy_rule = allowed;
	return allowed;
}

/* How many bytes of the value to copy. */
static __always_inline __u32 value_length(const struct running_call *call, __u32 allowed,
					  const struct returned *m)
{
	__u32 length = m->length;

	if (!m->length_known)
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

/* Room for what follows a record: an int, a time or an IPv4 address; a structure,
 * or the paths of a Unix socket with a small value; the longest value by default;
 * and the longest of all. Room in the ring is made in constant sizes only, and
 * what a record leaves of its own is not read. */
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
					const struct origin *origin, const struct outcome *o,
					const struct returned *m, const struct decision *d)
{
	__builtin_memset(r, 0, sizeof(*r));
	r->version = RECORD_VERSION;
	r->kind = RECORD_CALL;
	r->entry = call->entry;
	r->flags = call->flags;
	r->process = origin->process;
	r->start = call->start;
	r->duration = o->duration;
	r->randomness = d->randomness;
	r->threshold = d->threshold;
	r->tid = origin->tid;
	r->cpu = bpf_get_smp_processor_id();
	r->fd = call->fd;
	r->level = call->level;
	r->option = call->option;
	r->result = o->result;
	r->error = o->pending;
	r->group = origin->group;
	r->length_in = call->length_in;
	if (m->length_known) {
		r->length_out = m->length;
		r->flags |= CALL_LENGTH_OUT;
	}
	if (o->pending)
		r->flags |= CALL_PENDING_ERROR;
	__builtin_memcpy(r->comm, origin->comm, sizeof(r->comm));
}

static __always_inline void read_unix_paths(struct sock *sk, struct call_record *r)
{
	struct unix_paths *paths = (void *)(r + 1);

	__builtin_memset(paths, 0, sizeof(*paths));
	read_unix(sk, &r->local, paths->local);
	read_unix((struct sock *)BPF_CORE_READ((struct unix_sock *)sk, peer), &r->peer, paths->peer);
}

/* Copies the value that the program was given to where it belongs in the tail,
 * which has that much capacity. */
static __always_inline void read_value(struct call_record *r, __u64 at, __u64 capacity, __u64 length,
				       const struct running_call *call, const struct returned *m)
{
	__u8 *to = (__u8 *)(r + 1) + at;

	if (length == 0)
		return;
	/* The check must be the last thing before the use: before 6.3 the verifier
	 * forgets the bounds of a 32-bit number that the compiler spills. And both
	 * checks must not become one, from which it learns nothing before 7.x. */
	barrier_var(length);
	if (length > capacity)
		return;
	if (m->first_known && length <= sizeof(m->first)) {
		*(__u32 *)to = m->first;
	} else if (bpf_probe_read_user(to, length, (void *)call->value)) {
		r->flags |= CALL_VALUE_READ_ERROR;
		COUNT(value_read_errors);
		return;
	}
	r->flags |= CALL_VALUE;
	r->value_length = length;
}

static __always_inline void emit(const struct running_call *call, const struct origin *origin,
				 const struct outcome *o, const struct returned *m,
				 const struct decision *d, __u32 allowed, struct sock *sk,
				 struct sock_bytes *bytes)
{
	__u32 length = value_length(call, allowed, m);
	__u64 at = 0, capacity, before, after;
	struct call_record *r;
	__u16 family = 0;

	if (!(call->flags & CALL_LENGTH_IN) ||
	    (!m->length_known && call->entry != ENTRY_IO_URING)) /* which has none when it fails */
		COUNT(length_read_errors);
	if (sk && !read_sock_bytes(sk, bytes))
		sk = NULL;
	/* Once, since it says where the value is: another thread may close the
	 * descriptor, and the memory become something else. */
	if (sk)
		family = SOCK_FIELD(sk, bytes, skc_family);
	barrier_var(family);
	if (family == AF_UNIX)
		at = sizeof(struct unix_paths);
	before = bpf_ringbuf_query(&events, BPF_RB_PROD_POS);
	r = reserve(at + length, &capacity);
	if (!r) {
		COUNT(ring_full);
		return;
	}
	fill_record(r, call, origin, o, m, d);
	if (sk)
		read_socket(sk, bytes, family, r);
	if (at && capacity >= sizeof(struct unix_paths)) {
		read_unix_paths(sk, r);
		read_value(r, sizeof(struct unix_paths), capacity - sizeof(struct unix_paths), length,
			   call, m);
	} else {
		read_value(r, 0, capacity, length, call, m);
	}
	after = bpf_ringbuf_query(&events, BPF_RB_PROD_POS);
	bpf_ringbuf_submit(r, wakeup(before, after));
	COUNT(submitted);
}

#endif
