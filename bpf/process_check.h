/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether processes that user space remembers have ended. */
#ifndef GETSOCKOPT_PROCESS_CHECK_H
#define GETSOCKOPT_PROCESS_CHECK_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"

/*
 * Whether a process may still make calls. Its struct pid may have been
 * freed and reused by another process. Reading it is safe even then, and the start
 * time distinguishes the two. This needs neither /proc nor a pid namespace, and an
 * exec changes nothing.
 */
static __always_inline bool process_runs(__u64 pid_struct, __u64 start)
{
	struct pid *pid = (void *)pid_struct;
	struct hlist_node *link = BPF_CORE_READ(pid, tasks[PIDTYPE_TGID].first);
	struct task_struct *leader;

	if (!link)
		return false;
	leader = (void *)link - bpf_core_field_offset(struct task_struct, pid_links[PIDTYPE_TGID]);
	return BPF_CORE_READ(leader, start_boottime) == start &&
	       BPF_CORE_READ(leader, signal, live.counter) > 0;
}

/* Checks a process for user space, and forgets one that has ended. For the kernel, which
 * evicts what is not used, the lookup is a use of one that runs. */
__noinline int check_process(__u32 index)
{
	struct process_check *c = &process_checks[index & (CHECKS_MAX - 1)];
	struct process_entry *known = bpf_map_lookup_elem(&processes, &c->pid);

	c->ended = !process_runs(c->pid_struct, c->start);
	if (c->ended && known && known->start == c->start)
		bpf_map_delete_elem(&processes, &c->pid);
	return 0;
}

#endif
