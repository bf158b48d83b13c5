/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which processes may publish their active span. User space looks at each process once
 * it is noticed here, mostly before its first call, and writes what it finds to the map
 * publishers. A forked child has its parent's memory, so it inherits the entry.
 */
#ifndef GETSOCKOPT_CONTEXT_EVENTS_H
#define GETSOCKOPT_CONTEXT_EVENTS_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "process.h"
#include "process_context.h"
#include "process_key.h"
#include "records.h"
#include "shared_table.h"

/* include/uapi/linux/prctl.h */
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0

/* The latest notice of a process replaces one that waits: an exec in between makes that
 * one void. */
static __always_inline void notice_current(void)
{
	struct process_key key = key_of_process((void *)bpf_get_current_task());

	bpf_map_update_elem(&notices, &key.pid, &key, BPF_ANY);
	bpf_ringbuf_output(&noticed, &key.pid, sizeof(key.pid), 0);
}

static __always_inline void process_executed(void)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	delete_shared(publishers, TABLE_PUBLISHERS, pid);
	forget_process_context(pid);
	notice_current();
}

/* For whom what the current process publishes counts. Its cgroups are read at its first
 * publication only. */
static __always_inline __u32 owner_in_tables(void)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct published_names *names = bpf_map_lookup_elem(&published_names, &pid);

	return names ? READ_ONCE(names->owner) : hash_owner(owner_of_current());
}

/* OTEP 4719 makes every writer name its process context by this prctl(2) as its last
 * step, also where the kernel cannot name memory. */
static __always_inline void context_named(__u64 option, __u64 what, __u64 at, __u64 name)
{
	char bytes[8];

	if (option != PR_SET_VMA || what != PR_SET_VMA_ANON_NAME ||
	    bpf_probe_read_user(bytes, sizeof(bytes), (void *)name))
		return;
	if (*(__u64 *)bytes != *(__u64 *)CONTEXT_SIGNATURE)
		return;
	context_published(at, owner_in_tables());
	notice_current();
}

static __always_inline void process_forked(struct task_struct *parent, struct task_struct *child)
{
	struct process_key key = key_of_process(child);
	__u32 pid = BPF_CORE_READ(parent, tgid);
	struct publisher *by, inherited;

	if (pid == key.pid) /* a thread */
		return;
	by = bpf_map_lookup_elem(&publishers, &pid);
	if (!by)
		return;
	inherited = *by;
	/* It may be of a process before with the same pid, or of an image before. */
	if (inherited.start != BPF_CORE_READ(parent, group_leader, start_boottime) ||
	    inherited.exec_id != key.exec_id)
		return;
	inherited.start = key.start;
	delete_shared(publishers, TABLE_PUBLISHERS, key.pid); /* of a process before */
	if (!charge(TABLE_PUBLISHERS, inherited.owner))
		return;
	if (bpf_map_update_elem(&publishers, &key.pid, &inherited, BPF_NOEXIST))
		discharge(TABLE_PUBLISHERS, inherited.owner);
}

static __always_inline void thread_exited(struct task_struct *task)
{
	__u32 pid = BPF_CORE_READ(task, tgid);

	if (BPF_CORE_READ(task, signal, live.counter) == 0) {
		delete_shared(publishers, TABLE_PUBLISHERS, pid);
		bpf_map_delete_elem(&notices, &pid);
		forget_process_context(pid);
	}
}

/* Writes the key of a process to the file that is read. */
static __always_inline void list_process(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct process_key key;

	if (!task || task != BPF_CORE_READ(task, group_leader) || !BPF_CORE_READ(task, mm))
		return;
	key = key_of_process(task);
	bpf_seq_write(ctx->meta->seq, &key, sizeof(key));
}

#endif
