/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the process of a call: what its threads remember of it, or else what it is.
 */
#ifndef GETSOCKOPT_IDENTIFY_H
#define GETSOCKOPT_IDENTIFY_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "group.h"
#include "kernel.h"
#include "maps.h"
#include "process.h"
#include "process_context.h"
#include "records.h"
#include "scratch.h"
#include "select.h"
#include "shared_table.h"
#include "thread.h"

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

/* What is known of the process of t, NULL for nothing. */
static __always_inline struct process_entry *known_process(const struct thread_state *t)
{
	struct process_entry *known = bpf_map_lookup_elem(&processes, &t->process.pid);

	if (!known || known->start != t->process.start || known->exec_id != t->process.exec_id)
		return NULL;
	return known;
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
	struct process_entry *known = known_process(t);

	if (!known)
		return false;
	t->group = known->group;
	t->owner = known->owner;
	t->process_emitted = known->process_emitted;
	t->excluded = known->excluded;
	*counted = known->counted;
	if (known->names != t->names)
		return false;
	/* The element may have been reused for another process meanwhile. */
	if (READ_ONCE(known->start) != t->process.start)
		return false;
	return t->excluded || known->epoch == epoch || group_is_current(t->group);
}

/* Remembers the process of t for its other threads. Not inlined, because the verifier adds
 * up the stacks along a chain of calls, and this is not the longest. */
static __noinline void remember_process(struct thread_state *t, __u32 scratch_id, __u32 counted)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct process_entry fresh = {};

	fresh.counted = count_incomplete(scratch_id, counted);
	remember_cgroup(scratch_id, &fresh);
	fresh.start = t->process.start;
	fresh.owner = t->owner;
	fresh.exec_id = t->process.exec_id;
	fresh.group = t->group;
	fresh.pid_struct = (__u64)BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]);
	fresh.epoch = t->epoch;
	fresh.excluded = t->excluded;
	fresh.names = t->names;
	bpf_map_update_elem(&processes, &t->process.pid, &fresh, BPF_ANY);
}

/* False when no scratch buffer is free. */
static __always_inline bool identify_process(struct thread_state *t, __u32 epoch, __u16 counted)
{
	__u32 scratch_id;

	if (!scratch_acquire(&scratch_id))
		return false;
	t->process_emitted = 0;
	t->epoch = epoch;
	t->owner = find_cgroup(scratch_id);
	t->excluded = ruled_subjects & (SUBJECT_EXECUTABLE | SUBJECT_CONTAINER | SUBJECT_UNIT) &&
		      !process_selected(scratch_id);
	t->group = GROUP_OVERFLOW;
	if (!t->excluded) {
		identify(scratch_id, t->process.start, t->process.exec_id);
		t->group = find_group(scratch_id);
	}
	remember_process(t, scratch_id, counted);
	scratch_release(scratch_id);
	return true;
}

static __always_inline void read_context_of(const struct thread_state *t)
{
	if (process_contexts_enabled)
		read_awaited_context(hash_owner(t->owner));
}

/* Wakes the control loop at the first call since it began to sleep. It raised the epoch then, so
 * that the next call of each thread comes here, and later ones do not. Two at once may both wake
 * it. */
static __always_inline void wake_control_loop(void)
{
	if (!READ_ONCE(shares.control_sleeps))
		return;
	WRITE_ONCE(shares.control_sleeps, 0);
	bpf_ringbuf_output(&control_wakeups, &always_zero, sizeof(always_zero),
			   BPF_RB_FORCE_WAKEUP);
}

/* Finds the process of t, and identifies it if it is new, if its group was given to
 * another, or if it has published other names. False when no scratch buffer is free: the
 * next call tries again. */
static __always_inline bool find_process(struct task_struct *task, struct thread_state *t)
{
	__u32 pid = pid_of(task), epoch = READ_ONCE(shares.epoch);
	__u64 exec_id = task_storage_available ? task->self_exec_id :
						 BPF_CORE_READ(task, self_exec_id);
	bool same = t->process.pid == pid && t->process.exec_id == (__u32)exec_id;
	__u16 counted = 0;

	if (same && t->epoch == epoch)
		return true;
	wake_control_loop();
	if (same && !renew_names(t) && (t->excluded || group_is_current(t->group))) {
		t->epoch = epoch;
		read_context_of(t);
		return true;
	}
	t->process.pid = pid;
	t->process.exec_id = exec_id;
	t->process.start = BPF_CORE_READ(task, group_leader, start_boottime);
	renew_names(t);
	if (!recall_process(t, epoch, &counted) && !identify_process(t, epoch, counted)) {
		t->process.pid = 0;
		return false;
	}
	t->epoch = epoch;
	read_context_of(t);
	return true;
}

/* Sends the process record ahead of the process's first call record. False when the
 * ring buffer has no space: a call without its process cannot be attributed. */
static __always_inline bool emit_process_once(struct thread_state *t)
{
	struct process_entry *known;
	__u32 scratch_id, counted = 0;
	__u64 node, node_id;
	bool emitted;

	if (t->process_emitted)
		return true;
	emitted = group_has_room(t->group) && scratch_acquire(&scratch_id);
	if (emitted) {
		describe_process(scratch_id);
		describe_environment(scratch_id);
		describe_executable(scratch_id);
		describe_cgroup(scratch_id);
		known = known_process(t);
		if (known) {
			counted = READ_ONCE(known->counted);
			node = READ_ONCE(known->node);
			node_id = READ_ONCE(known->node_id);
			/* The element may have been reused for another process meanwhile. */
			if (READ_ONCE(known->start) == t->process.start)
				describe_first_cgroup(scratch_id, node, node_id);
			else
				counted = 0;
		}
		describe_unit(scratch_id);
		emitted = send_process(scratch_id, t->process.start, t->process.exec_id, t->group);
		counted = count_incomplete(scratch_id, counted);
		scratch_release(scratch_id);
	}
	if (!emitted) {
		counter_inc(process_lost);
		return false;
	}
	t->process_emitted = 1;
	known = known_process(t); /* again: the element may be of another process by now */
	if (known) {
		known->counted = counted;
		known->process_emitted = 1;
	}
	return true;
}

#endif
