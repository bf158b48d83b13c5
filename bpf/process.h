/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is calling. A process is looked at when its first call returns, in its
 * own context, because it may be gone before any reader wakes up.
 *
 * The steps of every loop are global functions without pointer arguments, and
 * their state lies in a map: the verifier then checks a step once (5.6), not
 * once for each turn, and no path through one multiplies the paths of another.
 * Long loops go in two levels, so that it walks 32 + n / 32 turns, not n.
 */
#ifndef GETSOCKOPT_PROCESS_H
#define GETSOCKOPT_PROCESS_H

#define CHUNK 32
#define ENVIRONMENT_STRINGS 512
#define ENVIRONMENT_BYTES 32768
#define PATH_COMPONENTS 48
#define CGROUP_STEPS 160
#define COMPONENT_MAX 256 /* NAME_MAX + 1 */

static const char service_name_variable[] = "OTEL_SERVICE_NAME=";
static const char attributes_variable[] = "OTEL_RESOURCE_ATTRIBUTES=";

static __always_inline struct scratch *scratch(__u32 room)
{
	return bpf_map_lookup_elem(&rooms, &room);
}

/* None is left only while as many processes as there are rooms make their first
 * calls. */
static __always_inline bool take_room(__u32 *room)
{
	return bpf_map_pop_elem(&free_rooms, room) == 0;
}

/* A queue's lock that cannot be had for a quarter of a second is given up (6.16). */
static __always_inline void leave_room(__u32 room)
{
	for (int i = 0; i < 4; i++)
		if (bpf_map_push_elem(&free_rooms, &room, 0) == 0)
			return;
}

static __always_inline bool same8(const __u8 *a, const char *b)
{
	return *(const __u64 *)a == *(const __u64 *)b;
}

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

/* Looks at one variable of the environment. True when there is no other. */
__noinline int next_variable(__u32 room)
{
	struct scratch *s = scratch(room);
	__u32 offset;
	__u8 *string;
	long length;

	if (!s || s->at >= s->end)
		return 1;
	offset = s->offset & (SCRATCH_DATA - 1);
	string = &s->data[offset];
	length = bpf_probe_read_user_str(string, SCRATCH_SLACK, (void *)s->at);
	if (length <= 0) {
		s->record.flags |= PROCESS_ENVIRONMENT_UNREAD;
		return 1;
	}
	s->at += length;
	if (!s->name_at && is_service_name(string))
		s->name_at = offset + sizeof(service_name_variable) - 1;
	else if (!s->attributes_at && is_attributes(string))
		s->attributes_at = offset + sizeof(attributes_variable) - 1;
	else
		return 0;
	if (length == SCRATCH_SLACK)
		s->record.flags |= PROCESS_ENVIRONMENT_CUT;
	s->offset = offset + length;
	return s->name_at && s->attributes_at;
}

__noinline int next_variables(__u32 room)
{
	for (int i = 0; i < CHUNK; i++)
		if (next_variable(room))
			return 1;
	return 0;
}

/* Copies the two variables into data and notes where their values begin.
 * Reading cannot fault pages in: what is not resident is flagged. */
static __always_inline void read_environment(struct task_struct *task, struct scratch *s, __u32 room)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);

	s->offset = 0;
	s->name_at = 0;
	s->attributes_at = 0;
	s->record.flags = 0;
	s->at = BPF_CORE_READ(mm, env_start);
	s->end = BPF_CORE_READ(mm, env_end);
	if (s->end - s->at > ENVIRONMENT_BYTES) {
		s->end = s->at + ENVIRONMENT_BYTES;
		s->record.flags |= PROCESS_ENVIRONMENT_CUT;
	}
	for (int i = 0; i < ENVIRONMENT_STRINGS / CHUNK; i++)
		if (next_variables(room))
			return;
	s->record.flags |= PROCESS_ENVIRONMENT_CUT;
}

static __always_inline void append_component(struct scratch *s, const void *name)
{
	__u32 offset = s->offset & (SCRATCH_DATA - 1);
	long length = bpf_probe_read_kernel_str(&s->data[offset], COMPONENT_MAX, name);

	if (length > 0)
		s->offset = offset + length;
}

/* Takes one component of the executable's path, leaf first, across mounts up
 * to the root of the mount namespace. True when there is no other. */
__noinline int next_path_component(__u32 room)
{
	struct scratch *s = scratch(room);
	struct dentry *dentry, *parent, *root;
	struct mount *mount, *up;

	if (!s)
		return 1;
	dentry = (void *)s->dentry;
	mount = (void *)s->mount;
	parent = BPF_CORE_READ(dentry, d_parent);
	root = BPF_CORE_READ(mount, mnt.mnt_root);
	if (dentry == root || dentry == parent) {
		up = BPF_CORE_READ(mount, mnt_parent);
		if (mount == up || dentry != root)
			return 1;
		s->dentry = (__u64)BPF_CORE_READ(mount, mnt_mountpoint);
		s->mount = (__u64)up;
		return 0;
	}
	if (s->offset >= SCRATCH_DATA - COMPONENT_MAX) {
		s->record.flags |= PROCESS_PATH_CUT;
		return 1;
	}
	append_component(s, BPF_CORE_READ(dentry, d_name.name));
	s->dentry = (__u64)parent;
	return 0;
}

static __always_inline void read_executable(struct task_struct *task, struct scratch *s, __u32 room)
{
	struct file *file = BPF_CORE_READ(task, mm, exe_file);

	if (!file)
		return;
	s->dentry = (__u64)BPF_CORE_READ(file, f_path.dentry);
	s->mount = (__u64)BPF_CORE_READ(file, f_path.mnt) - bpf_core_field_offset(struct mount, mnt);
	for (int i = 0; i < PATH_COMPONENTS; i++)
		if (next_path_component(room))
			return;
	s->record.flags |= PROCESS_PATH_CUT;
}

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	struct kernfs_node___rcu *rcu = (void *)node;

	if (bpf_core_field_exists(rcu->__parent))
		return BPF_CORE_READ(rcu, __parent);
	return BPF_CORE_READ(node, parent);
}

/* Takes one component of the path in one cgroup hierarchy, or goes on to the
 * next hierarchy. True when there is no other. */
__noinline int next_cgroup_step(__u32 room)
{
	struct scratch *s = scratch(room);
	struct cgrp_cset_link *cset_link;
	struct kernfs_node *node, *parent;
	struct list_head *link;
	struct cgroup *cgroup;

	if (!s)
		return 1;
	if (s->offset >= SCRATCH_DATA - COMPONENT_MAX) {
		s->record.flags |= PROCESS_CGROUPS_CUT;
		return 1;
	}
	node = (void *)s->node;
	if (node) {
		parent = kernfs_parent(node);
		s->node = (__u64)parent;
		if (parent) {
			append_component(s, BPF_CORE_READ(node, name));
		} else {
			s->data[s->offset & (SCRATCH_DATA - 1)] = 0;
			s->offset++;
		}
		return 0;
	}
	link = (void *)s->link;
	if (!link || s->link == s->head)
		return 1;
	s->link = (__u64)BPF_CORE_READ(link, next);
	cset_link = (void *)link - bpf_core_field_offset(struct cgrp_cset_link, cgrp_link);
	cgroup = BPF_CORE_READ(cset_link, cgrp);
	if (!cgroup || BPF_CORE_READ(cgroup, level) == 0)
		return 0;
	s->node = (__u64)BPF_CORE_READ(cgroup, kn);
	s->data[s->offset & (SCRATCH_DATA - 1)] =
		BPF_CORE_READ(cgroup, root, hierarchy_id) == 0 ? 2 : 1;
	s->offset++;
	return 0;
}

/* The process's place in every cgroup hierarchy, v1 and v2. */
static __always_inline void read_cgroups(struct task_struct *task, struct scratch *s, __u32 room)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct list_head *head = (void *)set + bpf_core_field_offset(struct css_set, cgrp_links);

	s->head = (__u64)head;
	s->link = (__u64)BPF_CORE_READ(head, next);
	s->node = 0;
	for (int i = 0; i < CGROUP_STEPS; i++)
		if (next_cgroup_step(room))
			return;
	s->record.flags |= PROCESS_CGROUPS_CUT;
}

/* What others may put into the ring while a process record is on its way. */
#define OTHERS 4096

/* Sends the process record. False when the ring is full. */
__noinline int announce(__u32 room, __u64 start, __u32 exec_id, __u32 group)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = scratch(room);
	struct process_record *r;
	struct nsproxy *nsproxy;
	struct upid *upid;
	struct pid *pid;
	__u32 at, level, size;
	__u64 before;

	if (!s)
		return false;
	r = &s->record;
	r->version = RECORD_VERSION;
	r->kind = RECORD_PROCESS;
	r->group = group;
	r->process.start = start;
	r->process.pid = bpf_get_current_pid_tgid() >> 32;
	r->process.exec_id = exec_id;
	r->parent_pid = BPF_CORE_READ(task, real_parent, tgid);
	pid = BPF_CORE_READ(task, signal, pids[1]); /* PIDTYPE_TGID */
	level = BPF_CORE_READ(pid, level) & 31;     /* MAX_PID_NS_LEVEL is 32 */
	upid = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
	       level * bpf_core_type_size(struct upid);
	r->namespace_pid = BPF_CORE_READ(upid, nr);
	r->pid_namespace = BPF_CORE_READ(upid, ns, ns.inum);
	r->user = BPF_CORE_READ(task, cred, euid.val);
	r->real_user = BPF_CORE_READ(task, cred, uid.val);
	nsproxy = BPF_CORE_READ(task, nsproxy);
	r->mount_namespace = BPF_CORE_READ(nsproxy, mnt_ns, ns.inum);
	r->network_namespace = BPF_CORE_READ(nsproxy, net_ns, ns.inum);
	bpf_get_current_comm(r->comm, sizeof(r->comm));

	read_environment(task, s, room);
	at = s->offset;
	r->environment_length = at;
	read_executable(task, s, room);
	r->executable_length = s->offset - at;
	at = s->offset;
	read_cgroups(task, s, room);
	r->cgroups_length = s->offset - at;

	size = sizeof(*r) + s->offset;
	if (size > sizeof(*r) + SCRATCH_DATA)
		return false;
	before = bpf_ringbuf_query(&events, BPF_RB_PROD_POS);
	/* What is missing has to be looked up while the process is there. */
	return bpf_ringbuf_output(&events, r, size,
			       r->flags & PROCESS_ENVIRONMENT_UNREAD ? BPF_RB_FORCE_WAKEUP
								     : wakeup(before, before + size + OTHERS)) == 0;
}

#endif
