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
#include "identify.h"
#include "kernel.h"
#include "maps.h"
#include "peer.h"
#include "records.h"
#include "result.h"
#include "sampling.h"
#include "select.h"
#include "series.h"
#include "socket.h"
#include "thread.h"

#define NSEC_PER_SEC 1000000000

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

static __always_inline void emit_syscall(struct task_struct *task, struct thread_state *t,
					 const struct counted *in, const struct call_result *res)
{
	struct user_result *out = &t->out;
	struct parent_found found;
	struct decision decision;
	struct origin origin;
	__u32 allowed;

	if (!keep_call(in, t->group, res, &decision))
		return;
	if (!emit_process_once(t)) {
		counter_inc(ring_full);
		return;
	}
	parent_of_call(t, &found);
	origin = origin_of(task, t);
	allowed = may_copy(&t->cache, in->counts, &t->call, res);
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

/* Not inlined: no other call pays for it. */
static __noinline void count_syscall_at_peer(struct task_struct *task, struct thread_state *t,
					     const struct call_result *res, struct counted *to)
{
	count_at_peer(&t->call, &t->group, &t->cache, res, socket_of(task, t->call.fd), &t->socket,
		      to);
}

/* at_boundary: the hook is at the return to user space, which it also reaches when
 * getsockopt itself did not run. */
static __always_inline void call_exit(__s64 ret, bool at_boundary)
{
	struct call_result res = { .duration = bpf_ktime_get_ns(), .ret = ret };
	struct task_struct *task = current_task();
	struct counted in = {};
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
	if (is_so_error(&t->call)) {
		asm volatile(
			""); /* keeps clang from testing ret first, a branch that is hard to predict */
		if (res.ret >= 0)
			res.pending = pending_error(&t->call, &t->out);
	}
	if (res.pending && peer_parts)
		count_syscall_at_peer(task, t, &res, &in);
	else
		count_call(&t->call, &t->group, &t->cache, &res, &in);
	if (in.slot)
		emit_syscall(task, t, &in, &res);
}

#endif
