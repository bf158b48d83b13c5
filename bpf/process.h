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
#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "scratch.h"

#define ENVIRONMENT_STRINGS 2048
#define ENVIRONMENT_BYTES (128 * 1024)
#define PATH_STEPS 2048 /* PATH_MAX / 2 */

/* OTEL_SERVICE_NAME with one byte more than a name may have, and a NUL. */
#define NAME_VARIABLE_MAX ((long)sizeof(service_name_variable) + GROUP_NAME_LENGTH)

static const char service_name_variable[] = "OTEL_SERVICE_NAME=";
static const char attributes_variable[] = "OTEL_RESOURCE_ATTRIBUTES=";

static __always_inline bool is_service_name(const __u8 *s)
{
	return same8(s, service_name_variable) && same8(s + 8, service_name_variable + 8) &&
	       s[16] == service_name_variable[16] && s[17] == service_name_variable[17];
}

static __always_inline bool is_attributes(const __u8 *s)
{
	return same8(s, attributes_variable) && same8(s + 8, attributes_variable + 8) &&
	       same8(s + 16, attributes_variable + 16) && s[24] == attributes_variable[24];
}

/* 1 if the string has an equals sign, 2 if it has none, 0 if it continues. */
__noinline int find_equals_sign(__u32 scratch_id, __u32 at)
{
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return 2;
	for (__u32 i = 0; i < CHUNK; i++) {
		__u8 c = s->data[(s->offset + at + i) & (SCRATCH_DATA - 1)];

		if (c == '=')
			return 1;
		if (c == 0)
			return 2;
	}
	return 0;
}

/* Whether the string at offset is KEY=value. A string with a very long key is. */
static __always_inline bool is_variable(__u32 scratch_id)
{
	for (__u32 at = 0; at < COMPONENT_MAX; at += CHUNK) {
		int found = find_equals_sign(scratch_id, at);

		if (found)
			return found == 1;
	}
	return true;
}

/* Skips NULs in strides: an environment that a title overwrote is full of them. */
__noinline int skip_nuls(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	__u64 any = 0;

	if (!s || bpf_probe_read_user(s->component, COMPONENT_MAX, (void *)s->at))
		return 0;
	for (__u32 i = 0; i < COMPONENT_MAX / sizeof(any); i++)
		any |= ((__u64 *)s->component)[i];
	if (!any)
		s->at += COMPONENT_MAX;
	return 0;
}

/* Continues a string that is longer than one read: the rest is no variable. The rest is
 * empty if the string ended exactly with the read. */
static __always_inline void continue_string(struct scratch *s, long length)
{
	if (s->within == 2 && length > 1)
		s->record.flags |= PROCESS_VARIABLE_CUT | PROCESS_ATTRIBUTES_CUT;
	s->within = length == SCRATCH_SLACK;
}

static __always_inline bool both_found(const struct scratch *s)
{
	return s->name_at && s->attributes_at && !s->within;
}

/* Takes the next string of the environment. True at the end. */
__noinline int next_variable(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	__u32 offset;
	__u8 *string;
	long length;

	if (!s || s->at >= s->end || both_found(s))
		return 1;
	offset = s->offset & (SCRATCH_DATA - 1);
	string = &s->data[offset];
	length = bpf_probe_read_user_str(string, SCRATCH_SLACK, (void *)s->at);
	if (length <= 0) {
		s->record.flags |= PROCESS_ENVIRONMENT_UNAVAILABLE;
		return 1;
	}
	s->at += length == SCRATCH_SLACK ? SCRATCH_SLACK - 1 : length;
	if (s->within) {
		continue_string(s, length);
		return 0;
	}
	s->within = length == SCRATCH_SLACK;
	if (length == 1) {
		s->record.flags |= PROCESS_ENVIRONMENT_OVERWRITTEN;
		s->distrusted = 1;
		skip_nuls(scratch_id);
		return 0;
	}
	if (s->distrusted) {
		s->distrusted--;
		return 0;
	}
	if (!s->assigned)
		s->assigned = is_variable(scratch_id);
	if (!s->name_at && is_service_name(string)) {
		s->name_at = offset + sizeof(service_name_variable) - 1;
		/* The one byte more marks the name as cut; no other leaves the kernel. */
		if (length > NAME_VARIABLE_MAX) {
			length = NAME_VARIABLE_MAX;
			string[length - 1] = 0;
		}
		if (length == NAME_VARIABLE_MAX)
			s->record.flags |= PROCESS_VARIABLE_CUT;
	} else if (!s->attributes_at && is_attributes(string)) {
		s->attributes_at = offset + sizeof(attributes_variable) - 1;
		s->within *= 2;
	} else {
		return 0;
	}
	s->offset = offset + length;
	return 0;
}

__noinline int next_variables(__u32 scratch_id)
{
	for (int i = 0; i < CHUNK; i++)
		if (next_variable(scratch_id))
			return 1;
	return 0;
}

static __always_inline bool walk_environment(__u32 scratch_id)
{
	for (int i = 0; i < ENVIRONMENT_STRINGS / CHUNK; i++)
		if (next_variables(scratch_id))
			return true;
	return false;
}

/* Whether the title of the process extends into its environment: the NUL that exec(2)
 * put behind the last argument is then overwritten. */
static __always_inline bool title_overflows(struct mm_struct *mm, __u64 environment)
{
	__u64 end = BPF_CORE_READ(mm, arg_end);
	__u8 last = 0;

	return end == environment && BPF_CORE_READ(mm, arg_start) < end &&
	       bpf_probe_read_user(&last, sizeof(last), (void *)(end - 1)) == 0 && last;
}

/*
 * Copies the two variables into data, and stores the offsets of their values. A BPF
 * program cannot fault pages in: user space completes an environment that is not
 * resident, or longer than ENVIRONMENT_BYTES.
 *
 * Programs that change their title move their environment and overwrite the old one. The
 * old one then has strings that are not KEY=value, and the string after them may be the
 * end of another: it is not taken for a variable. User space would find no more, so it
 * does not try.
 */
static __always_inline void read_environment(struct task_struct *task, struct scratch *s,
					     __u32 scratch_id)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u64 begin = BPF_CORE_READ(mm, env_start), end = BPF_CORE_READ(mm, env_end);

	s->offset = 0;
	s->name_at = 0;
	s->attributes_at = 0;
	s->within = 0;
	s->distrusted = 0;
	s->assigned = 0;
	s->at = begin;
	s->end = end;
	if (title_overflows(mm, begin)) {
		s->record.flags |= PROCESS_ENVIRONMENT_OVERWRITTEN;
		s->distrusted = 2; /* the title, and what it left of a variable */
	}
	if (end - begin > ENVIRONMENT_BYTES)
		s->end = begin + ENVIRONMENT_BYTES;
	if (!walk_environment(scratch_id) || (s->at >= s->end && s->end != end && !both_found(s)))
		s->record.flags |= PROCESS_ENVIRONMENT_UNAVAILABLE;
	else if (begin < end && !s->assigned &&
		 !(s->record.flags & PROCESS_ENVIRONMENT_UNAVAILABLE))
		s->record.flags |= PROCESS_ENVIRONMENT_OVERWRITTEN;
	if (s->record.flags & PROCESS_ENVIRONMENT_OVERWRITTEN)
		s->record.flags &= ~PROCESS_ENVIRONMENT_UNAVAILABLE;
}

/* Stores where the executable and the root of the process are; those of the calling
 * thread if the main thread has ended. */
static __always_inline struct file *begin_path(struct task_struct *task, struct scratch *s)
{
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	struct fs_struct *fs = BPF_CORE_READ(task, group_leader, fs);
	__u64 to_mount = bpf_core_field_offset(struct mount, mnt);

	if (!file)
		return NULL;
	if (!fs)
		fs = BPF_CORE_READ(task, fs);
	s->root_dentry = (__u64)BPF_CORE_READ(fs, root.dentry);
	s->root_mount = (__u64)BPF_CORE_READ(fs, root.mnt) - to_mount;
	s->dentry = (__u64)BPF_CORE_READ(file, f_path.dentry);
	s->mount = (__u64)BPF_CORE_READ(file, f_path.mnt) - to_mount;
	return file;
}

/* Moves from the root of a mount to its mount point. False at the top. */
static __always_inline bool leave_mount(struct scratch *s)
{
	struct mount *mount = (void *)s->mount, *up = BPF_CORE_READ(mount, mnt_parent);

	if (mount == up)
		return false;
	s->dentry = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
	s->mount = (__u64)up;
	return true;
}

static __always_inline bool at_mount_root(const struct scratch *s)
{
	struct mount *mount = (void *)s->mount;

	return s->dentry == (__u64)BPF_CORE_READ(mount, mnt.mnt_root);
}

/*
 * Takes the next component of the executable's path, leaf first and across mounts. The
 * path ends at the root of the process, or at the top of the mounts when that root is
 * not above it, as d_path() has it for the process itself. True at the end.
 */
__noinline int next_path_component(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	struct dentry *dentry, *parent;

	if (!s || (s->dentry == s->root_dentry && s->mount == s->root_mount))
		return 1;
	if (at_mount_root(s))
		return !leave_mount(s);
	dentry = (void *)s->dentry;
	parent = BPF_CORE_READ(dentry, d_parent);
	/* A file that was moved out of its mount has no path (prepend_path()). */
	if (dentry == parent || !append_component(s, BPF_CORE_READ(dentry, d_name.name))) {
		s->record.flags |= PROCESS_PATH_CUT;
		return 1;
	}
	s->dentry = (__u64)parent;
	return 0;
}

__noinline int next_path_components(__u32 scratch_id)
{
	for (int i = 0; i < CHUNK; i++)
		if (next_path_component(scratch_id))
			return 1;
	return 0;
}

static __always_inline bool walk_path(__u32 scratch_id)
{
	for (int i = 0; i < PATH_STEPS / CHUNK; i++)
		if (next_path_components(scratch_id))
			return true;
	return false;
}

/* Goes to the place where the mounts that end here are mounted. True at the end. */
__noinline int leave_mounts(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return 1;
	for (int i = 0; i < CHUNK; i++)
		if (!at_mount_root(s) || next_path_component(scratch_id))
			return 1;
	return 0;
}

/*
 * Appends the executable's name: the last component of its path. For a file that is
 * mounted on another, that is the name of the other. A file without a path has the name
 * of its creation, as memfd:NAME. A kernel thread has its comm, and returns false.
 */
static __always_inline bool append_name(struct task_struct *task, struct scratch *s,
					__u32 scratch_id)
{
	struct file *file = begin_path(task, s);
	struct dentry *dentry;

	if (!file) {
		append_component(s, &BPF_CORE_READ(task, group_leader)->comm);
		return false;
	}
	dentry = (void *)s->dentry;
	for (int i = 0; i < PATH_STEPS / CHUNK; i++)
		if (leave_mounts(scratch_id))
			break;
	if (!at_mount_root(s))
		dentry = (void *)s->dentry;
	append_component(s, BPF_CORE_READ(dentry, d_name.name));
	return true;
}

/* Whether the file is in no directory, as those of memfd_create(2). */
static __always_inline bool is_pseudo_file(struct file *file, const struct scratch *s)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);

	return dentry == BPF_CORE_READ(dentry, d_parent) && !at_mount_root(s);
}

/* Appends the executable's name and path. An incomplete path is left out. */
static __always_inline void read_executable(struct task_struct *task, struct scratch *s,
					    __u32 scratch_id)
{
	__u32 path_at, name_at = s->offset;
	struct file *file;

	if (!append_name(task, s, scratch_id)) {
		s->offset = name_at;
		return;
	}
	path_at = s->offset;
	file = begin_path(task, s);
	if (is_pseudo_file(file, s)) {
		append_component(s, BPF_CORE_READ(file, f_path.dentry, d_name.name));
		return;
	}
	if (!walk_path(scratch_id) || s->offset == path_at)
		s->record.flags |= PROCESS_PATH_CUT;
	if (s->record.flags & PROCESS_PATH_CUT)
		s->offset = path_at;
}

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
	__u64 before, flags;
	__u32 size;

	if (!s)
		return false;
	r = &s->record;
	r->version = RECORD_VERSION;
	r->kind = RECORD_PROCESS;
	r->group = group;
	r->process.start = start;
	r->process.pid = bpf_get_current_pid_tgid() >> 32;
	r->process.exec_id = exec_id;
	size = sizeof(*r) + s->offset;
	if (size > sizeof(*r) + SCRATCH_DATA + UNIT_NAME_LENGTH)
		return false;
	before = bpf_ringbuf_query(&events, BPF_RB_PROD_POS);
	/* User space must complete an environment before the process exits. */
	if (r->flags & PROCESS_ENVIRONMENT_UNAVAILABLE)
		flags = BPF_RB_FORCE_WAKEUP;
	else
		flags = wakeup(before, before + size + OTHERS);
	return bpf_ringbuf_output(&events, r, size, flags) == 0;
}

#endif
