/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Identifies the calling process. This happens at the entry of its first call and in
 * its own context, because it may have exited when a reader wakes up. Its record is
 * sent ahead of its first call record.
 */
#ifndef GETSOCKOPT_PROCESS_H
#define GETSOCKOPT_PROCESS_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "cgroup.h"
#include "environment.h"
#include "executable.h"
#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "ring.h"
#include "scratch.h"

/* Bytes that others may write to the ring buffer while a process record is written. */
#define OTHERS 4096

/*
 * The parts of the process record. They are called one after the other, not by one
 * another: the verifier adds up the stacks along a chain of calls, at least 32 bytes
 * each, and accepts 512.
 */

__noinline int describe_process(__u32 scratch_id)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct scratch *s = scratch(scratch_id);
	struct process_record *r;
	struct nsproxy *nsproxy;
	struct upid *upid;
	struct pid *pid;
	__u32 level;

	if (!s)
		return 0;
	r = &s->record;
	r->flags = 0;
	r->parent_pid = BPF_CORE_READ(leader, real_parent, tgid);
	pid = BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]);
	level = BPF_CORE_READ(pid, level) & (MAX_PID_NS_LEVEL - 1);
	upid = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
	       level * bpf_core_type_size(struct upid);
	r->namespace_pid = BPF_CORE_READ(upid, nr);
	r->pid_namespace = BPF_CORE_READ(upid, ns, ns.inum);
	r->user = BPF_CORE_READ(leader, real_cred, euid.val);
	r->real_user = BPF_CORE_READ(leader, real_cred, uid.val);
	nsproxy = BPF_CORE_READ(leader, nsproxy);
	if (!nsproxy) /* the main thread has ended */
		nsproxy = BPF_CORE_READ(task, nsproxy);
	r->mount_namespace = BPF_CORE_READ(nsproxy, mnt_ns, ns.inum);
	r->network_namespace = BPF_CORE_READ(nsproxy, net_ns, ns.inum);
	bpf_probe_read_kernel(r->comm, sizeof(r->comm), &leader->comm);
	return 0;
}

__noinline int describe_environment(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return 0;
	read_environment((void *)bpf_get_current_task(), s, scratch_id);
	s->record.environment_length = s->offset;
	return 0;
}

__noinline int describe_executable(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	__u32 at;

	if (!s)
		return 0;
	at = s->offset;
	read_executable((void *)bpf_get_current_task(), s, scratch_id);
	s->record.executable_length = s->offset - at;
	return 0;
}

/* Begins with a new process: reads what its cgroups name, and returns its owner. */
__noinline __u64 find_cgroup(__u32 scratch_id)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return 0;
	s->record.flags = 0;
	s->offset = 0;
	read_cgroups(BPF_CORE_READ(task, group_leader), s, scratch_id, false);
	return s->owner;
}

/* The owner of the current process, which may not have made a call yet. 0 if no scratch
 * buffer is free. */
__noinline __u64 owner_of_current(void)
{
	__u32 scratch_id;
	__u64 owner;

	if (!scratch_acquire(&scratch_id))
		return 0;
	owner = find_cgroup(scratch_id);
	scratch_release(scratch_id);
	return owner;
}

__noinline int describe_cgroup(__u32 scratch_id)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = scratch(scratch_id);
	__u32 at;

	if (!s)
		return 0;
	at = s->offset;
	read_cgroups(BPF_CORE_READ(task, group_leader), s, scratch_id, true);
	s->record.cgroup_length = s->offset - at;
	return 0;
}

__noinline int describe_first_cgroup(__u32 scratch_id, __u64 node, __u64 id)
{
	struct scratch *s = scratch(scratch_id);

	if (s)
		read_first_cgroup(s, scratch_id, node, id);
	return 0;
}

/* There is space for it behind the others, see append_component. */
__noinline int describe_unit(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	__u32 offset;
	long length;

	if (!s)
		return 0;
	s->record.unit_length = 0;
	s->record.unit_service_length = s->unit.service_length;
	if (!s->unit.service_length)
		return 0;
	offset = s->offset & (SCRATCH_DATA - 1);
	length = bpf_probe_read_kernel_str(&s->data[offset], UNIT_NAME_LENGTH, s->unit.name);
	if (length > 0) {
		s->record.unit_length = length;
		s->offset = offset + length;
	}
	return 0;
}

/* Sends the process record. False when the ring buffer is full. */
__noinline int send_process(__u32 scratch_id, __u64 start, __u32 exec_id, __u32 group)
{
	struct scratch *s = scratch(scratch_id);
	struct process_record *r;
	struct sender sender;
	__u64 before, flags;
	__u32 size;

	if (!s || !find_sender(group, &sender))
		return false;
	r = &s->record;
	r->header = record_header(RECORD_PROCESS, group, &sender);
	r->process.start = start;
	r->process.pid = bpf_get_current_pid_tgid() >> 32;
	r->process.exec_id = exec_id;
	size = sizeof(*r) + s->offset;
	if (size > sizeof(*r) + SCRATCH_DATA + UNIT_NAME_LENGTH)
		return false;
	before = bpf_ringbuf_query(&events, BPF_RB_PROD_POS);
	/* User space must complete an environment before the process exits. A sleeping reader
	 * that does not see this record is woken by the call that follows. */
	if (r->flags & PROCESS_ENVIRONMENT_UNAVAILABLE)
		flags = BPF_RB_FORCE_WAKEUP;
	else
		flags = wakeup(before, before + size + OTHERS);
	if (bpf_ringbuf_output(&events, r, size, flags))
		return false;
	count_sent(&sender, size);
	return true;
}

#endif
