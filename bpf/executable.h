/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the name and the path of the executable of a process.
 */
#ifndef GETSOCKOPT_EXECUTABLE_H
#define GETSOCKOPT_EXECUTABLE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "scratch.h"

#define PATH_STEPS 2048 /* PATH_MAX / 2 */

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

LONG_LOOP(walk_path, next_path_component, PATH_STEPS)

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

#endif
