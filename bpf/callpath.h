/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one path of a call behind every hook: call_enter notes it, call_exit
 * pairs, counts, samples and sends it.
 */
#ifndef GETSOCKOPT_CALLPATH_H
#define GETSOCKOPT_CALLPATH_H

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

static __always_inline enum sampling_class class_of(const struct outcome *o)
{
	if ((keep_failed && (o->result < 0 || o->pending)) || o->duration > keep_slower)
		return CLASS_ALWAYS;
	return CLASS_REST;
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
