/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A call that is kept: its record is put together from what the kernel knows and
 * what the program was given, and sent.
 */
#ifndef GETSOCKOPT_EMIT_H
#define GETSOCKOPT_EMIT_H

/* How many bytes of an option's value may be copied; 0 for none. */
static __always_inline __u32 copy_rule(struct slot_cache *cache, const struct call_record *r)
{
	struct copy_rule_key key = { .level = r->level, .option = r->option };
	bool cached = cache->slot && cache->key.level == r->level && cache->key.option == r->option;
	__u32 *rule, allowed;

	if (cached && cache->copy_rule != UNKNOWN_RULE)
		return cache->copy_rule;
	rule = bpf_map_lookup_elem(&copy_rules, &key);
	allowed = rule ? *rule : 0;
	if (cached)
		cache->copy_rule = allowed;
	return allowed;
}

static __always_inline __u32 value_length(struct slot_cache *cache, const struct call_record *r)
{
	__u32 allowed = copy_rule(cache, r);
	__u32 length = r->length_out;

	if (r->flags & CALL_LENGTH_IN && length > r->length_in)
		length = r->length_in;
	if (length > allowed)
		length = allowed;
	if (length > value_max)
		length = value_max;
	return length;
}

static __always_inline struct draft *draft(enum program_kind program)
{
	__u32 index = program;

	return bpf_map_lookup_elem(&drafts, &index);
}

static __always_inline void fill_record(struct call_record *r, const struct running_call *call,
					const struct origin *origin, const struct outcome *o,
					const struct decision *d)
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
	__builtin_memcpy(r->comm, origin->comm, sizeof(r->comm));
	if (o->pending)
		r->flags |= CALL_PENDING_ERROR;
}

static __always_inline void read_unix_paths(struct sock *sk, struct draft *d)
{
	struct unix_paths *paths = (void *)d->tail;

	__builtin_memset(paths, 0, sizeof(*paths));
	read_unix(sk, &d->record.local, paths->local);
	read_unix((struct sock *)BPF_CORE_READ((struct unix_sock *)sk, peer), &d->record.peer,
		  paths->peer);
}

/* The program's memory: where its value is, and its first four bytes if they
 * are known already. */
struct value_source {
	__u64 at;
	__u32 first;
	bool known;
};

/* Reads *optlen as the kernel left it. Most programs keep an int and its length
 * side by side, and one read of the two costs half of two reads. */
static __always_inline bool read_length_out(const struct running_call *call, __u32 *length,
					    struct value_source *value)
{
	__u32 both[2];

	if (call->length == call->value + 4 &&
	    bpf_probe_read_user(both, sizeof(both), (void *)call->value) == 0) {
		value->first = both[0];
		value->known = true;
		*length = both[1];
		return true;
	}
	if (call->value == call->length + 4 &&
	    bpf_probe_read_user(both, sizeof(both), (void *)call->length) == 0) {
		*length = both[0];
		value->first = both[1];
		value->known = true;
		return true;
	}
	return bpf_probe_read_user(length, sizeof(*length), (void *)call->length) == 0;
}

/* Copies the value that the program was given behind what the tail holds. */
static __always_inline void read_value(struct draft *d, struct slot_cache *cache, __u32 at,
				       const struct value_source *value)
{
	__u32 length = value_length(cache, &d->record);

	/* The check must be the last thing before the use: before 6.3 the verifier
	 * forgets the bounds of a 32-bit number that the compiler spills. */
	barrier_var(length);
	if (length == 0 || length > VALUE_MAX)
		return;
	if (value->known && length <= sizeof(value->first)) {
		*(__u32 *)&d->tail[at] = value->first;
	} else if (bpf_probe_read_user(&d->tail[at], length, (void *)value->at)) {
		d->record.flags |= CALL_VALUE_UNREAD;
		COUNT(value_unread);
		return;
	}
	d->record.flags |= CALL_VALUE;
	d->record.value_length = length;
}

static __always_inline void emit(struct draft *d, struct slot_cache *cache, struct sock *sk,
				  const struct value_source *value)
{
	struct call_record *r = &d->record;
	__u32 at = 0, size;

	if ((r->flags & (CALL_LENGTH_IN | CALL_LENGTH_OUT)) != (CALL_LENGTH_IN | CALL_LENGTH_OUT))
		COUNT(length_unread);
	if (sk)
		read_socket(sk, r);
	if (sk && r->family == AF_UNIX) {
		read_unix_paths(sk, d);
		at = sizeof(struct unix_paths);
	}
	if (values_enabled && r->result >= 0 && r->flags & CALL_LENGTH_OUT)
		read_value(d, cache, at, value);
	size = sizeof(*r) + at + r->value_length;
	barrier_var(size);
	if (size <= sizeof(*d) && bpf_ringbuf_output(&events, d, size, wakeup(size)) == 0)
		COUNT(submitted);
	else
		COUNT(ring_full);
}

#endif
