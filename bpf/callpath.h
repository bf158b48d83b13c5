/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one path of a call behind every hook: call_enter notes it, call_exit
 * pairs, counts, samples and sends it.
 */
#ifndef GETSOCKOPT_CALLPATH_H
#define GETSOCKOPT_CALLPATH_H

#define RANDOMNESS_MASK ((1ULL << 56) - 1)

/* Values are copied into the smallest record of these that holds them; the
 * ring wants sizes the verifier can see. */
#define VALUE_SMALL 16
#define VALUE_MEDIUM 128
#define VALUE_LARGE 512
#define VALUE_MAX 4096

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
		if (t && t->call.active)
			return t;
	}
	return thread_by_id(task, false);
}

static __always_inline bool is_receiver(void)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	return pid == (proof_pid ? proof_pid : receiver_pid);
}

/* True when the call needs no further look. */
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
	if (t->call.active)
		COUNT(no_exit);
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
	t->call.active = 1;
	t->call.start = bpf_ktime_get_ns();
}

/* Makes sure that t says which process it belongs to. */
static __always_inline void find_process(struct task_struct *task, struct thread *t)
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
	t->slot_valid = 0;
	known = bpf_map_lookup_elem(&processes, &pid);
	if (known && known->start == t->process.start && known->exec_id == t->process.exec_id) {
		t->group = known->group;
		t->announced = known->announced;
		return;
	}
	t->announced = 0;
	t->group = identify();
	fresh.start = t->process.start;
	fresh.exec_id = t->process.exec_id;
	fresh.group = t->group;
	bpf_map_update_elem(&processes, &pid, &fresh, BPF_ANY);
}

/* The pending error that SO_ERROR handed to the program, 0 for none. A buffer
 * shorter than an int gets the low bytes, which hold every errno up to 255. */
static __always_inline __u16 pending_error(const struct running_call *call)
{
	__u32 length = 0, error = 0;

	if (call->level != SOL_SOCKET || call->option != SO_ERROR)
		return 0;
	bpf_probe_read_user(&length, sizeof(length), (void *)call->length);
	if (length > sizeof(error))
		length = sizeof(error);
	if (length == 0 || bpf_probe_read_user(&error, length, (void *)call->value)) {
		if (length)
			COUNT(value_unread);
		return 0;
	}
	return error;
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

static __always_inline void count_call(struct thread *t, const struct series_key *key,
				       __u64 duration)
{
	struct series_slot *slot;
	__u32 id;

	if (t->slot_valid && same_key(&t->slot_key, key)) {
		id = t->slot;
	} else {
		__u32 *known = bpf_map_lookup_elem(&series_index, key);

		id = known ? *known : new_slot(key);
		if (id >= OVERFLOW_SLOTS) {
			t->slot_key = *key;
			t->slot = id;
			t->slot_valid = 1;
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

static __always_inline __u32 value_length(const struct call_record *r)
{
	struct copy_rule_key key = { .level = r->level, .option = r->option };
	__u32 *rule = bpf_map_lookup_elem(&copy_rules, &key);
	__u32 length = r->length_out;

	if (!rule)
		return 0;
	if (r->flags & CALL_LENGTH_IN && length > r->length_in)
		length = r->length_in;
	if (length > *rule)
		length = *rule;
	if (length > value_max)
		length = value_max;
	return length;
}

struct unix_paths {
	char local[UNIX_PATH_LENGTH];
	char peer[UNIX_PATH_LENGTH];
};

/* Reserves a record of a fixed size, and fills it from the header and the
 * program's memory. */
static __always_inline bool send(const struct call_record *header, struct sock *sk, __u64 value,
				 const __u32 room)
{
	bool is_unix = header->flags & CALL_SOCKET && header->family == AF_UNIX;
	struct call_record *r;
	__u32 length = header->value_length;
	__u8 *tail;

	if (is_unix) {
		struct unix_paths *paths;

		r = bpf_ringbuf_reserve(&events, sizeof(*r) + sizeof(*paths) + room, 0);
		if (!r)
			return false;
		*r = *header;
		paths = (void *)(r + 1);
		__builtin_memset(paths, 0, sizeof(*paths));
		read_unix(sk, &r->local, paths->local);
		read_unix((struct sock *)BPF_CORE_READ((struct unix_sock *)sk, peer), &r->peer,
			  paths->peer);
		tail = (void *)(paths + 1);
	} else {
		r = bpf_ringbuf_reserve(&events, sizeof(*r) + room, 0);
		if (!r)
			return false;
		*r = *header;
		tail = (void *)(r + 1);
	}
	if (length > room)
		length = room;
	if (length) {
		if (bpf_probe_read_user(tail, length, (void *)value) == 0) {
			r->flags |= CALL_VALUE;
		} else {
			r->flags |= CALL_VALUE_UNREAD;
			r->value_length = 0;
			COUNT(value_unread);
		}
	}
	bpf_ringbuf_submit(r, 0);
	return true;
}

static __noinline bool send_call(const struct call_record *header, struct sock *sk,
				      __u64 value)
{
	if (header->value_length <= VALUE_SMALL)
		return send(header, sk, value, VALUE_SMALL);
	if (header->value_length <= VALUE_MEDIUM)
		return send(header, sk, value, VALUE_MEDIUM);
	if (header->value_length <= VALUE_LARGE)
		return send(header, sk, value, VALUE_LARGE);
	return send(header, sk, value, VALUE_MAX);
}

static __always_inline void fill_lengths(struct call_record *r, const struct running_call *call)
{
	r->length_in = call->length_in;
	if (bpf_probe_read_user(&r->length_out, sizeof(r->length_out), (void *)call->length) == 0)
		r->flags |= CALL_LENGTH_OUT;
	if ((r->flags & (CALL_LENGTH_IN | CALL_LENGTH_OUT)) != (CALL_LENGTH_IN | CALL_LENGTH_OUT))
		COUNT(length_unread);
}

static __always_inline void emit(struct task_struct *task, struct thread *t, __s32 result,
				 __u64 duration, __u16 pending)
{
	struct running_call *call = &t->call;
	struct call_record r = {};
	__u64 randomness = ((__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32()) &
			   RANDOMNESS_MASK;
	__u64 threshold = thresholds[result < 0 || pending];
	struct sock *sk;

	if (randomness < threshold) {
		COUNT(sampled_out);
		return;
	}
	if (!t->announced && announce(t->process.start, t->process.exec_id, t->group)) {
		struct process *known = bpf_map_lookup_elem(&processes, &t->process.pid);

		if (known)
			known->announced = 1;
		t->announced = 1;
	}
	r.version = RECORD_VERSION;
	r.kind = RECORD_CALL;
	r.entry = call->entry;
	r.flags = call->flags;
	r.process = t->process;
	r.start = call->start;
	r.duration = duration;
	r.randomness = randomness;
	r.threshold = threshold;
	r.tid = bpf_get_current_pid_tgid();
	r.cpu = bpf_get_smp_processor_id();
	r.fd = call->fd;
	r.level = call->level;
	r.option = call->option;
	r.result = result;
	r.error = pending;
	if (pending)
		r.flags |= CALL_PENDING_ERROR;
	bpf_get_current_comm(r.comm, sizeof(r.comm));
	fill_lengths(&r, call);
	sk = socket_of(task, call->fd);
	if (sk)
		read_socket(sk, &r);
	if (values_enabled && result >= 0 && r.flags & CALL_LENGTH_OUT)
		r.value_length = value_length(&r);
	if (send_call(&r, sk, call->value))
		COUNT(submitted);
	else
		COUNT(ring_full);
}

/* A call that entered before the proof call said who the receiver is must not
 * stay running for ever. */
static __always_inline void receiver_returned(struct task_struct *task)
{
	struct thread *t;

	if (!proof_returned) {
		proof_returned = 1;
		t = thread_exit(task);
		if (t && t->call.active) {
			t->call.active = 0;
			COUNT(filtered);
		}
	}
}

static __always_inline void call_exit(__s64 returned)
{
	__u64 now = bpf_ktime_get_ns();
	struct task_struct *task;
	struct series_key key = {};
	struct thread *t;
	__s32 result = returned;
	__u64 duration;

	task = current_task();
	if (is_receiver()) {
		receiver_returned(task);
		return;
	}
	t = thread_exit(task);
	if (!t || !t->call.active) {
		COUNT(seen);
		COUNT(no_entry);
		return;
	}
	t->call.active = 0;
	duration = now - t->call.start;
	find_process(task, t);
	key.group = t->group;
	key.level = t->call.level;
	key.option = t->call.option;
	key.entry = t->call.entry;
	if (result < 0) {
		key.error = -result;
	} else {
		key.error = pending_error(&t->call);
		key.pending = key.error != 0;
	}
	count_call(t, &key, duration);
	if (spans_enabled)
		emit(task, t, result, duration, key.pending ? key.error : 0);
}

#endif
