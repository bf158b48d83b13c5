/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The path of a call behind every hook: call_enter stores it, call_exit pairs, counts,
 * samples and emits it.
 */
#ifndef GETSOCKOPT_CALLPATH_H
#define GETSOCKOPT_CALLPATH_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "context.h"
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

#define NSEC_PER_SEC 1000000000

static __always_inline struct task_struct *current_task(void)
{
	if (task_storage_available)
		return bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

static __always_inline struct thread_state *thread_by_id(struct task_struct *task, bool create)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct thread_state *t = bpf_map_lookup_elem(&threads_by_id, &tid);
	__u64 start = BPF_CORE_READ(task, start_boottime);
	static const struct thread_state fresh;

	if (t && t->task_start == start)
		return t;
	if (!create || bpf_map_update_elem(&threads_by_id, &tid, &fresh, BPF_ANY))
		return NULL;
	t = bpf_map_lookup_elem(&threads_by_id, &tid);
	if (t)
		t->task_start = start;
	return t;
}

static __always_inline struct thread_state *thread_get_or_create(struct task_struct *task)
{
	struct thread_state *t;

	if (task_storage_available) {
		t = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (t)
			return t;
	}
	return thread_by_id(task, true);
}

static __always_inline struct thread_state *thread_lookup(struct task_struct *task)
{
	struct thread_state *t;

	if (task_storage_available) {
		t = bpf_task_storage_get(&threads, task, NULL, 0);
		if (t && t->call.phase)
			return t;
	}
	return thread_by_id(task, false);
}

/* In the initial pid namespace. By a plain load where that is possible: a helper costs
 * as much as ten loads. */
static __always_inline __u32 pid_of(struct task_struct *task)
{
	return task_storage_available ? (__u32)task->tgid : bpf_get_current_pid_tgid() >> 32;
}

static __always_inline bool is_receiver(struct task_struct *task)
{
	return pid_of(task) == (selftest_pid ? selftest_pid : receiver_pid);
}

/* BPF programs read the clocks of the initial time namespace, user space reads those of
 * its own. A kernel without CONFIG_TIME_NS may lack the type. */
static __always_inline void store_clock_offsets(struct task_struct *task)
{
	struct time_namespace *ns = BPF_CORE_READ(task, nsproxy, time_ns);

	if (!bpf_core_field_exists(ns->offsets))
		return;
	WRITE_ONCE(clock_offsets.monotonic,
		   BPF_CORE_READ(ns, offsets.monotonic.tv_sec) * NSEC_PER_SEC +
			   BPF_CORE_READ(ns, offsets.monotonic.tv_nsec));
	WRITE_ONCE(clock_offsets.boottime,
		   BPF_CORE_READ(ns, offsets.boottime.tv_sec) * NSEC_PER_SEC +
			   BPF_CORE_READ(ns, offsets.boottime.tv_nsec));
}

/* True for calls of the receiver, which the self-test identifies. */
static __always_inline bool filtered_at_entry(struct task_struct *task, __s32 level, __s32 option)
{
	if (level == selftest_level && option == selftest_option) {
		store_clock_offsets(task);
		WRITE_ONCE(selftest_pid, pid_of(task));
	} else if (!is_receiver(task)) {
		return false;
	}
	counter_inc(seen);
	counter_inc(filtered);
	return true;
}

/* Counts what is unknown of a process, each flag once. */
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

/* Remembers the cgroup that named container and unit: the process may leave it before its
 * first span. */
static __always_inline void remember_cgroup(__u32 scratch_id, struct process_entry *entry)
{
	struct scratch *s = scratch(scratch_id);
	struct kernfs_node *node;

	if (!s)
		return;
	node = (void *)s->leaf_node;
	entry->node = s->leaf_node;
	if (node)
		entry->node_id = BPF_CORE_READ(node, id);
}

/* What t knows of its process from another of its threads. */
static __always_inline bool recall_process(struct thread_state *t, __u32 epoch, __u16 *counted)
{
	struct process_entry *known = bpf_map_lookup_elem(&processes, &t->process.pid);

	if (!known || known->start != t->process.start || known->exec_id != t->process.exec_id)
		return false;
	t->group = known->group;
	t->owner = known->owner;
	t->process_emitted = known->process_emitted;
	t->excluded = known->excluded;
	*counted = known->counted;
	/* The element may have been reused for another process meanwhile. */
	if (READ_ONCE(known->start) != t->process.start)
		return false;
	return t->excluded || known->epoch == epoch || group_is_current(t->group);
}

/* False when no scratch buffer is free. */
static __always_inline bool identify_process(struct task_struct *task, struct thread_state *t,
					     __u32 epoch, __u16 counted)
{
	struct process_entry fresh;
	__u32 scratch_id;

	if (!scratch_acquire(&scratch_id))
		return false;
	t->process_emitted = 0;
	t->owner = find_cgroup(scratch_id);
	t->excluded = ruled_subjects & (SUBJECT_EXECUTABLE | SUBJECT_CONTAINER | SUBJECT_UNIT) &&
		      !process_selected(scratch_id);
	t->group = GROUP_OVERFLOW;
	if (!t->excluded) {
		identify(scratch_id, t->process.start, t->process.exec_id);
		t->group = find_group(scratch_id);
	}
	__builtin_memset(&fresh, 0, sizeof(fresh)); /* not on the path of a known process */
	fresh.counted = count_incomplete(scratch_id, counted);
	remember_cgroup(scratch_id, &fresh);
	scratch_release(scratch_id);
	fresh.start = t->process.start;
	fresh.owner = t->owner;
	fresh.exec_id = t->process.exec_id;
	fresh.group = t->group;
	fresh.pid_struct = (__u64)BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]);
	fresh.epoch = epoch;
	fresh.excluded = t->excluded;
	bpf_map_update_elem(&processes, &t->process.pid, &fresh, BPF_ANY);
	return true;
}

/* Finds the process of t, and identifies it if it is new, or if its group was given to
 * another. False when no scratch buffer is free: the next call tries again. */
static __always_inline bool find_process(struct task_struct *task, struct thread_state *t)
{
	__u32 pid = pid_of(task), epoch = READ_ONCE(shares.epoch);
	__u64 exec_id = task_storage_available ? task->self_exec_id :
						 BPF_CORE_READ(task, self_exec_id);
	bool same = t->process.pid == pid && t->process.exec_id == (__u32)exec_id;
	__u16 counted = 0;

	if (same && t->epoch == epoch)
		return true;
	if (!same || !(t->excluded || group_is_current(t->group))) {
		t->process.pid = pid;
		t->process.exec_id = exec_id;
		t->process.start = BPF_CORE_READ(task, group_leader, start_boottime);
		if (!recall_process(t, epoch, &counted) &&
		    !identify_process(task, t, epoch, counted)) {
			t->process.pid = 0;
			return false;
		}
	}
	t->epoch = epoch;
	return true;
}

/* Sends the process record ahead of the process's first call record. False when the
 * ring buffer is full: a call without its process cannot be attributed. */
static __always_inline bool emit_process_once(struct thread_state *t)
{
	struct process_entry *known;
	__u32 scratch_id;
	bool emitted;

	if (t->process_emitted)
		return true;
	known = bpf_map_lookup_elem(&processes, &t->process.pid);
	emitted = scratch_acquire(&scratch_id);
	if (emitted) {
		describe_process(scratch_id);
		describe_environment(scratch_id);
		describe_executable(scratch_id);
		describe_cgroup(scratch_id);
		if (known)
			describe_first_cgroup(scratch_id, known->node, known->node_id);
		describe_unit(scratch_id);
		emitted = send_process(scratch_id, t->process.start, t->process.exec_id, t->group);
		if (known)
			known->counted = count_incomplete(scratch_id, known->counted);
		scratch_release(scratch_id);
	}
	if (!emitted) {
		counter_inc(process_lost);
		return false;
	}
	t->process_emitted = 1;
	if (known)
		known->process_emitted = 1;
	return true;
}

static __always_inline struct origin origin_of(struct task_struct *task,
					       const struct thread_state *t)
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
	struct thread_state *t;
	__u32 flags = 0;

	if (filtered_at_entry(task, level, option))
		return;
	counter_inc(seen);
	t = thread_get_or_create(task);
	if (!t) {
		counter_inc(no_storage);
		return;
	}
	if (t->call.phase == PHASE_RUNNING)
		counter_inc(no_exit);
	if (!find_process(task, t)) {
		counter_inc(no_storage);
		t->call.phase = PHASE_ACCOUNTED;
		return;
	}
	if (ruled_subjects && !call_selected(task, t, level, option)) {
		counter_inc(filtered);
		t->call.phase = PHASE_ACCOUNTED;
		return;
	}
	t->call.fd = fd;
	t->call.level = level;
	t->call.option = option;
	t->call.value = value;
	t->call.length = length;
	t->call.entry = entry;
	if (spans_enabled &&
	    bpf_probe_read_user(&t->call.length_in, sizeof(t->call.length_in), (void *)length) == 0)
		flags |= CALL_LENGTH_IN;
	if (entry == ENTRY_SYSCALL_COMPAT || entry == ENTRY_SOCKETCALL)
		flags |= CALL_COMPAT;
	t->call.flags = flags;
	t->call.phase = PHASE_RUNNING;
	t->call.start = bpf_ktime_get_ns();
}

/* Most programs keep an int and its length side by side. One read of both costs half
 * of two, and reads of user memory are the largest part of a call's cost. */
static __always_inline void read_neighbours(const struct running_call *call,
					    struct user_result *out)
{
	__u32 both[2];

	if (call->length == call->value + sizeof(__u32) &&
	    bpf_probe_read_user(both, sizeof(both), (void *)call->value) == 0) {
		out->first = both[0];
		out->length = both[1];
		out->first_known = out->length_known = true;
	} else if (call->value == call->length + sizeof(__u32) &&
		   bpf_probe_read_user(both, sizeof(both), (void *)call->length) == 0) {
		out->length = both[0];
		out->first = both[1];
		out->first_known = out->length_known = true;
	}
}

static __always_inline void read_length(const struct running_call *call, struct user_result *out)
{
	out->length_known = call->length && bpf_probe_read_user(&out->length, sizeof(out->length),
								(void *)call->length) == 0;
}

/* Another thread may have overwritten the value. */
static __always_inline __u16 errno_of(__u32 value)
{
	return value < MAX_ERRNO ? value : MAX_ERRNO;
}

/* The pending error that SO_ERROR returned, 0 for none. The length matters only if the
 * value is not 0: the kernel writes the low bytes into a buffer shorter than an int,
 * and one byte holds every errno up to 255. */
static __always_inline __u16 pending_error(const struct running_call *call, struct user_result *out)
{
	__u32 error = 0, length;

	read_neighbours(call, out);
	if (!out->first_known &&
	    bpf_probe_read_user(&out->first, sizeof(out->first), (void *)call->value) == 0)
		out->first_known = true;
	if (out->first_known && out->first == 0)
		return 0;
	if (!out->length_known)
		read_length(call, out);
	length = out->length_known ? out->length : 0;
	if (out->first_known) {
		if (length < sizeof(error))
			out->first &= (1U << 8 * length) - 1;
		return errno_of(out->first);
	}
	/* A buffer shorter than an int may end at the end of a mapping. */
	if (length >= sizeof(error))
		length = 0;
	/* Otherwise the compiler makes one comparison of both bounds, from which a
	 * verifier before 7.x learns neither. */
	barrier_var(length);
	if (length == 0 || bpf_probe_read_user(&error, length, (void *)call->value))
		counter_inc(value_read_errors);
	return errno_of(error);
}

static __always_inline bool is_so_error(const struct running_call *call)
{
	return call->level == SOL_SOCKET && call->option == SO_ERROR;
}

static __always_inline void emit_syscall(struct task_struct *task, struct thread_state *t,
					 struct series_slot *slot, const struct call_result *res)
{
	struct user_result *out = &t->out;
	struct parent_found found;
	struct decision decision;
	struct origin origin;
	__u32 allowed;

	if (!keep_call(slot, t->group, res, &decision))
		return;
	if (!emit_process_once(t)) {
		counter_inc(ring_full);
		return;
	}
	parent_of_call(t, &found);
	origin = origin_of(task, t);
	allowed = may_copy(&t->cache, slot, &t->call, res);
	if (allowed && !out->length_known)
		read_neighbours(&t->call, out);
	if (!out->length_known)
		read_length(&t->call, out);
	emit(&t->call, &origin, res, out, &decision, found.parent, allowed,
	     socket_of(task, t->call.fd), &t->socket);
	parent_release(&found);
}

/* A call of the receiver that entered before the self-test must not stay running. */
static __always_inline void receiver_exit(struct task_struct *task)
{
	struct thread_state *t;

	if (selftest_returned)
		return;
	WRITE_ONCE(selftest_returned, 1);
	t = thread_lookup(task);
	if (t && t->call.phase == PHASE_RUNNING) {
		t->call.phase = PHASE_NONE;
		counter_inc(filtered);
	}
}

/* Whether a seccomp filter may have answered a call that has a return and no entry: the
 * kernel runs the filter before it traces the entry. */
static __always_inline bool under_seccomp(struct task_struct *task)
{
	return bpf_core_field_exists(task->seccomp.mode) &&
	       BPF_CORE_READ(task, seccomp.mode) >= SECCOMP_MODE_FILTER;
}

/* at_boundary: the hook is at the return to user space, which it also reaches when
 * getsockopt itself did not run. */
static __always_inline void call_exit(__s64 ret, bool at_boundary)
{
	struct call_result res = { .duration = bpf_ktime_get_ns(), .ret = ret };
	struct task_struct *task = current_task();
	struct series_slot *slot;
	struct series_key key;
	struct thread_state *t;

	if (is_receiver(task)) {
		receiver_exit(task);
		return;
	}
	t = thread_lookup(task);
	if (!t || !t->call.phase) {
		/* While the hook is attached and detached, entries may be missing. */
		if (both_attached) {
			counter_inc(seen);
			if (at_boundary && under_seccomp(task))
				counter_inc(seccomp);
			else
				counter_inc(no_entry);
		}
		return;
	}
	if (t->call.phase == PHASE_ACCOUNTED) {
		t->call.phase = PHASE_NONE;
		return;
	}
	t->call.phase = PHASE_NONE;
	res.duration -= t->call.start;
	t->out.first_known = t->out.length_known = false;
	if (res.ret >= 0 && is_so_error(&t->call))
		res.pending = pending_error(&t->call, &t->out);
	key = key_of(&t->call, t->group, &res);
	slot = count_call(&t->cache, &t->group, &key, res.duration);
	if (spans_enabled && slot)
		emit_syscall(task, t, slot, &res);
}

#endif
