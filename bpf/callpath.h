/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one path of a call behind every hook: call_enter notes it, call_exit
 * pairs, counts, samples and sends it.
 */
#ifndef GETSOCKOPT_CALLPATH_H
#define GETSOCKOPT_CALLPATH_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "emit.h"
#include "group.h"
#include "kernel.h"
#include "maps.h"
#include "process.h"
#include "records.h"
#include "sampling.h"
#include "scratch.h"
#include "select.h"
#include "series.h"
#include "socket.h"

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

static __always_inline struct thread *thread_get_or_create(struct task_struct *task)
{
	struct thread *t;

	if (task_storage_available) {
		t = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (t)
			return t;
	}
	return thread_by_id(task, true);
}

static __always_inline struct thread *thread_lookup(struct task_struct *task)
{
	struct thread *t;

	if (task_storage_available) {
		t = bpf_task_storage_get(&threads, task, NULL, 0);
		if (t && t->call.phase)
			return t;
	}
	return thread_by_id(task, false);
}

/* In the initial pid namespace. A plain load where that is possible: a call of a
 * helper costs as much as ten of them. */
static __always_inline __u32 pid_of(struct task_struct *task)
{
	return task_storage_available ? (__u32)task->tgid : bpf_get_current_pid_tgid() >> 32;
}

static __always_inline bool is_receiver(struct task_struct *task)
{
	return pid_of(task) == (selftest_pid ? selftest_pid : receiver_pid);
}

/* Programs read the clocks of the initial time namespace, user space those of its
 * own. A kernel without such namespaces (CONFIG_TIME_NS) may not describe them. */
static __always_inline void note_clock_offsets(struct task_struct *task)
{
	struct time_namespace *ns = BPF_CORE_READ(task, nsproxy, time_ns);

	if (!bpf_core_field_exists(ns->offsets))
		return;
	clock_offsets.monotonic = BPF_CORE_READ(ns, offsets.monotonic.tv_sec) * 1000000000 +
				  BPF_CORE_READ(ns, offsets.monotonic.tv_nsec);
	clock_offsets.boottime = BPF_CORE_READ(ns, offsets.boottime.tv_sec) * 1000000000 +
				 BPF_CORE_READ(ns, offsets.boottime.tv_nsec);
}

/* True for calls of the receiver's own; the proof call says which those are. */
static __always_inline bool filtered_at_entry(struct task_struct *task, __s32 level, __s32 option)
{
	if (level == selftest_level && option == selftest_option) {
		note_clock_offsets(task);
		selftest_pid = pid_of(task);
	} else if (!is_receiver(task)) {
		return false;
	}
	COUNT(seen);
	COUNT(filtered);
	return true;
}

/* Counts what is not known of a process, each once. */
__noinline int count_incomplete(__u32 scratch_id, __u32 counted)
{
	struct scratch *s = scratch(scratch_id);
	__u16 flags = s ? s->record.flags & ~counted : 0;

	if (flags & PROCESS_ENVIRONMENT_OVERWRITTEN)
		__sync_fetch_and_add(&identities.environment_overwritten, 1);
	if (flags & PROCESS_VARIABLE_CUT && !(flags & PROCESS_ENVIRONMENT_UNAVAILABLE))
		__sync_fetch_and_add(&identities.variable_cut, 1);
	if (flags & PROCESS_PATH_CUT)
		__sync_fetch_and_add(&identities.path_cut, 1);
	if (flags & PROCESS_CGROUP_CUT)
		__sync_fetch_and_add(&identities.cgroup_cut, 1);
	return counted | flags;
}

static __always_inline void forget_flags(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);

	if (s)
		s->record.flags = 0;
}

/* Makes sure that t says which process it belongs to. False when there is no
 * scratch_id to look at a new one: the next call tries again. */
static __always_inline bool find_process(struct task_struct *task, struct thread *t)
{
	__u32 pid = pid_of(task), scratch_id;
	__u64 exec_id = task_storage_available ? task->self_exec_id
					       : BPF_CORE_READ(task, self_exec_id);
	struct process *known;
	struct process fresh = {};

	if (t->process.pid == pid && t->process.exec_id == (__u32)exec_id)
		return true;
	t->process.pid = pid;
	t->process.exec_id = exec_id;
	t->process.start = BPF_CORE_READ(task, group_leader, start_boottime);
	t->cache.slot = 0;
	known = bpf_map_lookup_elem(&processes, &pid);
	if (known && known->start == t->process.start && known->exec_id == t->process.exec_id) {
		t->group = known->group;
		t->process_emitted = known->process_emitted;
		t->excluded = known->excluded;
		return true;
	}
	if (!scratch_acquire(&scratch_id)) {
		t->process.pid = 0;
		return false;
	}
	forget_flags(scratch_id);
	t->process_emitted = 0;
	t->excluded = ruled_subjects & (SUBJECT_EXECUTABLE | SUBJECT_CONTAINER) &&
		      !process_selected(scratch_id);
	t->group = t->excluded ? GROUP_OVERFLOW : identify(scratch_id, t->process.start, exec_id);
	fresh.counted = count_incomplete(scratch_id, 0);
	scratch_release(scratch_id);
	fresh.start = t->process.start;
	fresh.exec_id = t->process.exec_id;
	fresh.group = t->group;
	fresh.excluded = t->excluded;
	bpf_map_update_elem(&processes, &pid, &fresh, BPF_ANY);
	return true;
}

/* Sends the process record ahead of the process's first span. False when the
 * ring is full: a span without its process would have to guess whose it is. */
static __always_inline bool emit_process_once(struct thread *t)
{
	struct process *known;
	bool process_emitted;
	__u32 scratch_id;

	if (t->process_emitted)
		return true;
	known = bpf_map_lookup_elem(&processes, &t->process.pid);
	process_emitted = scratch_acquire(&scratch_id);
	if (process_emitted) {
		describe_process(scratch_id);
		describe_environment(scratch_id);
		describe_executable(scratch_id);
		describe_cgroup(scratch_id);
		process_emitted = send_process(scratch_id, t->process.start, t->process.exec_id, t->group);
		if (known)
			known->counted = count_incomplete(scratch_id, known->counted);
		scratch_release(scratch_id);
	}
	if (!process_emitted) {
		COUNT(process_lost);
		return false;
	}
	t->process_emitted = 1;
	if (known)
		known->process_emitted = 1;
	return true;
}

static __always_inline struct origin origin_of(struct task_struct *task, const struct thread *t)
{
	struct origin origin = { .process = t->process, .group = t->group };
	const __u64 *comm = (const void *)&task->comm;

	if (task_storage_available) {
		origin.tid = task->pid;
		((__u64 *)origin.comm)[0] = comm[0];
		((__u64 *)origin.comm)[1] = comm[1];
	} else {
		origin.tid = bpf_get_current_pid_tgid();
		bpf_get_current_comm(origin.comm, sizeof(origin.comm));
	}
	return origin;
}

static __always_inline void call_enter(__s32 fd, __s32 level, __s32 option, __u64 value,
				       __u64 length, __u8 entry)
{
	struct task_struct *task = current_task();
	struct thread *t;
	__u32 flags = 0;

	if (filtered_at_entry(task, level, option))
		return;
	COUNT(seen);
	t = thread_get_or_create(task);
	if (!t) {
		COUNT(no_storage);
		return;
	}
	if (t->call.phase == PHASE_RUNNING)
		COUNT(no_exit);
	if (!find_process(task, t)) {
		COUNT(no_storage);
		t->call.phase = PHASE_ACCOUNTED;
		return;
	}
	if (ruled_subjects && !call_selected(task, t, level, option)) {
		COUNT(filtered);
		t->call.phase = PHASE_ACCOUNTED;
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

/* Most programs keep an int and its length side by side, and one read of the
 * two costs half of two reads: reading memory is the dearest thing here. */
static __always_inline void read_neighbours(const struct running_call *call, struct returned *m)
{
	__u32 both[2];

	if (call->length == call->value + sizeof(__u32) &&
	    bpf_probe_read_user(both, sizeof(both), (void *)call->value) == 0) {
		m->first = both[0];
		m->length = both[1];
		m->first_known = m->length_known = true;
	} else if (call->value == call->length + sizeof(__u32) &&
		   bpf_probe_read_user(both, sizeof(both), (void *)call->length) == 0) {
		m->length = both[0];
		m->first = both[1];
		m->first_known = m->length_known = true;
	}
}

static __always_inline void read_length(const struct running_call *call, struct returned *m)
{
	m->length_known = call->length && bpf_probe_read_user(&m->length, sizeof(m->length),
							      (void *)call->length) == 0;
}

/* The pending error that SO_ERROR handed to the program, 0 for none. How much of
 * the buffer was written matters only when there is something in it: a buffer
 * shorter than an int gets the low bytes, which hold every errno up to 255. */
static __always_inline __u16 pending_error(const struct running_call *call, struct returned *m)
{
	__u32 error = 0, length;

	read_neighbours(call, m);
	if (!m->first_known &&
	    bpf_probe_read_user(&m->first, sizeof(m->first), (void *)call->value) == 0)
		m->first_known = true;
	if (m->first_known && m->first == 0)
		return 0;
	if (!m->length_known)
		read_length(call, m);
	length = m->length_known ? m->length : 0;
	if (m->first_known) {
		if (length < sizeof(error))
			m->first &= (1U << 8 * length) - 1;
		return m->first;
	}
	/* A buffer shorter than an int may end where the memory does. */
	if (length >= sizeof(error))
		length = 0;
	/* Else both bounds become one comparison, from which a verifier before
	 * 7.x learns none. */
	barrier_var(length);
	if (length == 0 || bpf_probe_read_user(&error, length, (void *)call->value))
		COUNT(value_read_errors);
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
	struct returned *m = &t->memory;
	struct decision decision;
	struct origin origin;
	__u32 allowed;

	if (!keep_call(class_of(o), &decision))
		return;
	if (!emit_process_once(t)) {
		COUNT(ring_full);
		return;
	}
	origin = origin_of(task, t);
	allowed = may_copy(&t->cache, &t->call, o);
	if (allowed && !m->length_known)
		read_neighbours(&t->call, m);
	if (!m->length_known)
		read_length(&t->call, m);
	emit(&t->call, &origin, o, m, &decision, allowed, socket_of(task, t->call.fd),
	     &t->socket);
}

/* A call that entered before the proof call said who the receiver is must not
 * stay running for ever. */
static __always_inline void receiver_returned(struct task_struct *task)
{
	struct thread *t;

	if (selftest_returned)
		return;
	selftest_returned = 1;
	t = thread_lookup(task);
	if (t && t->call.phase == PHASE_RUNNING) {
		t->call.phase = PHASE_NONE;
		COUNT(filtered);
	}
}

/* Whether a call that was seen at its return only may be one that a seccomp filter
 * answered: the kernel asks the filter before it traces the entry. */
static __always_inline bool under_seccomp(struct task_struct *task)
{
	return bpf_core_field_exists(task->seccomp.mode) &&
	       BPF_CORE_READ(task, seccomp.mode) >= SECCOMP_MODE_FILTER;
}

/* at_boundary: the hook sees the way out to user space, which a call takes also
 * when getsockopt itself did not run. */
static __always_inline void call_exit(__s64 returned, bool at_boundary)
{
	struct outcome o = { .duration = bpf_ktime_get_ns(), .result = returned };
	struct task_struct *task = current_task();
	struct series_key key;
	struct thread *t;

	if (is_receiver(task)) {
		receiver_returned(task);
		return;
	}
	t = thread_lookup(task);
	if (!t || !t->call.phase) {
		/* Attaching and detaching take milliseconds for each side. */
		if (both_attached) {
			COUNT(seen);
			if (at_boundary && under_seccomp(task))
				COUNT(seccomp);
			else
				COUNT(no_entry);
		}
		return;
	}
	if (t->call.phase == PHASE_ACCOUNTED) {
		t->call.phase = PHASE_NONE;
		return;
	}
	t->call.phase = PHASE_NONE;
	o.duration -= t->call.start;
	t->memory.first_known = t->memory.length_known = false;
	if (o.result >= 0 && is_so_error(&t->call))
		o.pending = pending_error(&t->call, &t->memory);
	key = key_of(&t->call, t->group, &o);
	count_call(&t->cache, &key, o.duration);
	if (spans_enabled)
		emit_syscall(task, t, &o);
}

#endif
