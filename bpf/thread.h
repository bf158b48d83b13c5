/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state of the calling thread.
 */
#ifndef GETSOCKOPT_THREAD_H
#define GETSOCKOPT_THREAD_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"

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

#endif
