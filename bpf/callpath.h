/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one path of a call behind every hook: call_enter notes it, call_exit
 * pairs, counts, samples and sends it.
 */
#ifndef GETSOCKOPT_CALLPATH_H
#define GETSOCKOPT_CALLPATH_H

#define OVERFLOW_SLOT(pending) ((pending) ? 1 : 0)

static __always_inline struct task_struct *current_task(void)
{
	if (task_storage_available)
		return bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline struct thread *thread_by_id(struct task_struct *task, bool create)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct thread *t = bpf_map_lookup_elem(&threads_by_id, &tid);
	__u64 start = BPF_CORE_READ(task, start_boottime);
	static const struct thread fresh;

	if (t && t->task_start == start)
		return t;
	if (!create || bpf_map_update_elem(&threads_by_id, &tid, &fresh, BPF_ANY))
		return NULL;
	t = bpf_map_lookup_elem(&threads_by_id, &tid);
	if (t)
		t->task_start = start;
	return t;
}

static __always_inline struct thread *thread_enter(struct task_struct *task)
{
	struct thread *t;

	if (task_storage_available) {
		t = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (t)
			return t;
	}
	return thread_by_id(task, true);
}

static __always_inline struct thread *thread_exit(struct task_struct *task)
{
	struct thread *t;

	if (task_storage_available) {
		t = bpf_task_storage_get(&threads, task, NULL, 0);
		if (t && t->call.phase)
			return t;
	}
	return thread_by_id(task, false);
}

static __always_inline bool is_receiver(void)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	return pid == (proof_pid ? proof_pid : receiver_pid);
}

/* True for calls of the receiver's own; the proof call says which those are. */
static __always_inline bool filtered_at_entry(__s32 level, __s32 option)
{
	if (level == proof_level && option == proof_option)
		proof_pid = bpf_get_current_pid_tgid() >> 32;
	else if (!is_receiver())
		return false;
	COUNT(seen);
	COUNT(filtered);
	return true;
}

/* Makes sure that t says which process it belongs to. */
static __always_inline void find_process(struct task_struct *task, struct thread *t, __u32 user)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u64 exec_id = task_storage_available ? task->self_exec_id
					       : BPF_CORE_READ(task, self_exec_id);
	struct process *known;
	struct process fresh = {};

	if (t->process.pid == pid && t->process.exec_id == (__u32)exec_id)
		return;
	t->process.pid = pid;
	t->process.exec_id = exec_id;
	t->process.start = BPF_CORE_READ(task, group_leader, start_boottime);
	t->cache.slot = 0;
	known = bpf_map_lookup_elem(&processes, &pid);
	if (known && known->start == t->process.start && known->exec_id == t->process.exec_id) {
		t->group = known->group;
		t->announced = known->announced;
		t->excluded = known->excluded;
		return;
	}
	t->announced = 0;
	t->excluded = ruled_subjects & (SUBJECT_EXECUTABLE | SUBJECT_CONTAINER) &&
		      !process_selected(user);
	t->group = t->excluded ? GROUP_OVERFLOW : identify(user, t->process.start, exec_id);
	fresh.start = t->process.start;
	fresh.exec_id = t->process.exec_id;
	fresh.group = t->group;
	fresh.excluded = t->excluded;
	bpf_map_update_elem(&processes, &pid, &fresh, BPF_ANY);
}

/* Sends the process record ahead of the process's first span. False when the
 * ring is full: a span without its process would have to guess whose it is. */
static __always_inline bool announce_once(struct thread *t, __u32 user)
{
	struct process *known;

	if (t->announced)
		return true;
	if (!announce(user, t->process.start, t->process.exec_id, t->group))
		return false;
	t->announced = 1;
	known = bpf_map_lookup_elem(&processes, &t->process.pid);
	if (known)
		known->announced = 1;
	return true;
}

static __always_inline void call_enter(__s32 fd, __s32 level, __s32 option, __u64 value,
				       __u64 length, __u8 entry)
{
	struct task_struct *task;
	struct thread *t;
	__u32 flags = 0;

	if (filtered_at_entry(level, option))
		return;
	COUNT(seen);
	task = current_task();
	t = thread_enter(task);
	if (!t) {
		COUNT(no_storage);
		return;
	}
	if (t->call.phase == PHASE_RUNNING)
		COUNT(no_exit);
	find_process(task, t, PROGRAM_ENTER);
	if (ruled_subjects && !call_selected(task, t, level, option)) {
		COUNT(filtered);
		t->call.phase = PHASE_FILTERED;
		return;
	}
	t->call.fd = fd;
	t->call.level = level;
	t->call.option = option;
	t->call.value = value;
	t->call.length = length;
	t->call.entry = entry;
	if (spans_enabled && bpf_probe_read_user(&t->call.length_in, sizeof(t->call.length_in),
						 (void *)length) == 0)
		flags |= CALL_LENGTH_IN;
	if (entry == ENTRY_SYSCALL_COMPAT || entry == ENTRY_SOCKETCALL)
		flags |= CALL_COMPAT;
	t->call.flags = flags;
	t->call.phase = PHASE_RUNNING;
	t->call.start = bpf_ktime_get_ns();
}

/* The pending error that SO_ERROR handed to the program, 0 for none. Reading
 * the program's memory is the dearest thing here, so how much of the buffer was
 * written is looked up only when there is something in it: a buffer shorter
 * than an int gets the low bytes, which hold every errno up to 255. */
static __always_inline __u16 pending_error(const struct running_call *call, __u32 length)
{
	__u32 error;

	if (bpf_probe_read_user(&error, sizeof(error), (void *)call->value)) {
		/* A buffer shorter than an int may end where the memory does. */
		error = 0;
		if (call->length && bpf_probe_read_user(&length, sizeof(length), (void *)call->length))
			length = 0;
		if (length >= sizeof(error))
			length = 0;
		/* Else both bounds become one comparison, from which a verifier
		 * before 7.x learns none. */
		barrier_var(length);
		if (length == 0 || bpf_probe_read_user(&error, length, (void *)call->value))
			COUNT(value_unread);
		return error;
	}
	if (error == 0)
		return 0;
	if (call->length && bpf_probe_read_user(&length, sizeof(length), (void *)call->length))
		return 0;
	if (length < sizeof(error))
		error &= (1U << 8 * length) - 1;
	return error;
}

static __always_inline bool is_so_error(const struct running_call *call)
{
	return call->level == SOL_SOCKET && call->option == SO_ERROR;
}

static __always_inline __u32 new_slot(const struct series_key *key)
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
		__sync_fetch_and_add(&slot->used, 1);
		return id;
	}
	/* Another CPU was first. */
	bpf_map_push_elem(&free_slots, &id, 0);
	known = bpf_map_lookup_elem(&series_index, key);
	return known ? *known : OVERFLOW_SLOT(key->pending);
}

static __always_inline bool same_key(const struct series_key *a, const struct series_key *b)
{
	const __u64 *x = (const void *)a, *y = (const void *)b;

	return x[0] == y[0] && x[1] == y[1];
}

static __always_inline void count_call(struct slot_cache *cache, const struct series_key *key,
				       __u64 duration)
{
	struct series_slot *slot;
	__u32 id;

	if (cache->slot && same_key(&cache->key, key)) {
		id = cache->slot;
	} else {
		__u32 *known = bpf_map_lookup_elem(&series_index, key);

		id = known ? *known : new_slot(key);
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
	__sync_fetch_and_add(&slot->value.buckets[bucket_of(duration)], 1);
	__sync_fetch_and_add(&slot->value.sum, duration);
}

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

/* A call that has returned, however it came. */
struct outcome {
	__u64 duration;
	__s32 result;
	__u16 pending;
};

static __always_inline enum sampling_class class_of(const struct outcome *o)
{
	if ((keep_failed && (o->result < 0 || o->pending)) || o->duration > keep_slower)
		return CLASS_ALWAYS;
	return CLASS_REST;
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

static __always_inline struct draft *draft(enum program_kind program)
{
	__u32 index = program;

	return bpf_map_lookup_elem(&drafts, &index);
}

static __always_inline void emit_syscall(struct task_struct *task, struct thread *t,
					 const struct outcome *o)
{
	struct value_source value = { .at = t->call.value };
	struct origin origin = {};
	struct decision decision;
	struct draft *d;

	if (!keep_call(class_of(o), &decision))
		return;
	d = draft(PROGRAM_EXIT);
	if (!d) /* cannot be: the index is within the map */
		return;
	if (!announce_once(t, PROGRAM_EXIT)) {
		COUNT(ring_full);
		return;
	}
	origin.process = t->process;
	origin.group = t->group;
	origin.tid = bpf_get_current_pid_tgid();
	bpf_get_current_comm(origin.comm, sizeof(origin.comm));
	fill_record(&d->record, &t->call, &origin, o, &decision);
	if (read_length_out(&t->call, &d->record.length_out, &value))
		d->record.flags |= CALL_LENGTH_OUT;
	emit(d, &t->cache, socket_of(task, t->call.fd), &value);
}

/* A call that entered before the proof call said who the receiver is must not
 * stay running for ever. */
static __always_inline void receiver_returned(struct task_struct *task)
{
	struct thread *t;

	if (proof_returned)
		return;
	proof_returned = 1;
	t = thread_exit(task);
	if (t && t->call.phase == PHASE_RUNNING) {
		t->call.phase = PHASE_NONE;
		COUNT(filtered);
	}
}

static __always_inline void call_exit(__s64 returned)
{
	struct outcome o = { .duration = bpf_ktime_get_ns(), .result = returned };
	struct task_struct *task = current_task();
	struct series_key key;
	struct thread *t;

	if (is_receiver()) {
		receiver_returned(task);
		return;
	}
	t = thread_exit(task);
	if (!t || !t->call.phase) {
		/* Attaching and detaching take milliseconds for each side. */
		if (both_attached) {
			COUNT(seen);
			COUNT(no_entry);
		}
		return;
	}
	if (t->call.phase == PHASE_FILTERED) {
		t->call.phase = PHASE_NONE;
		return;
	}
	t->call.phase = PHASE_NONE;
	o.duration -= t->call.start;
	if (o.result >= 0 && is_so_error(&t->call))
		o.pending = pending_error(&t->call, 0);
	key = key_of(&t->call, t->group, &o);
	count_call(&t->cache, &key, o.duration);
	if (spans_enabled)
		emit_syscall(task, t, &o);
}

#endif
