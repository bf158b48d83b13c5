/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The group under which a process's calls are counted, found at its first call: its
 * service, its container, itself or the host.
 */
#ifndef GETSOCKOPT_GROUP_H
#define GETSOCKOPT_GROUP_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "cgroup.h"
#include "kernel.h"
#include "maps.h"
#include "process.h"
#include "records.h"
#include "scratch.h"
#include "series.h"

#define ATTRIBUTES_BYTES 4096

static const char name_attribute[] = "service.name";
static const char namespace_attribute[] = "service.namespace";

enum scan_state {
	SCAN_KEY = 0, /* matched: characters of the key so far */
	SCAN_NAME,    /* written: bytes of the value so far */
	SCAN_NAMESPACE,
	SCAN_OTHER,
};

#define ATTRIBUTE_KEY_MAX 32 /* more than either attribute's length, a power of two */

#define NAME_CANDIDATE 1
#define NAMESPACE_CANDIDATE 2

static __always_inline void start_key(struct scratch *s)
{
	s->state = SCAN_KEY;
	s->matched = 0;
	s->candidates = NAME_CANDIDATE | NAMESPACE_CANDIDATE;
}

static __always_inline void scan_key(struct scratch *s, __u8 c)
{
	__u32 matched = s->matched & (ATTRIBUTE_KEY_MAX - 1);

	if (c == ' ' || c == '\t')
		return;
	if (c == '=') {
		s->written = 0;
		s->state = SCAN_OTHER;
		if (s->candidates & NAME_CANDIDATE && matched == sizeof(name_attribute) - 1)
			s->state = SCAN_NAME;
		if (s->candidates & NAMESPACE_CANDIDATE &&
		    matched == sizeof(namespace_attribute) - 1)
			s->state = SCAN_NAMESPACE;
		return;
	}
	if (matched >= sizeof(name_attribute) - 1 || c != name_attribute[matched])
		s->candidates &= ~NAME_CANDIDATE;
	if (matched >= sizeof(namespace_attribute) - 1 || c != namespace_attribute[matched])
		s->candidates &= ~NAMESPACE_CANDIDATE;
	if (!s->candidates)
		s->state = SCAN_OTHER;
	s->matched = matched + 1;
}

/* Scans one byte of OTEL_RESOURCE_ATTRIBUTES. True at its end. */
__noinline int scan_byte(__u32 scratch_id, __u32 i)
{
	struct scratch *s = scratch(scratch_id);
	__u32 written;
	__u8 c;

	if (!s)
		return 1;
	c = s->data[(s->attributes_at + i) & (SCRATCH_DATA - 1)];
	written = s->written & (GROUP_NAME_LENGTH - 1);
	if (c == 0)
		return 1;
	if (c == ',') {
		s->comma = i;
		start_key(s);
	} else if (s->state == SCAN_KEY) {
		scan_key(s, c);
	} else if (s->state == SCAN_NAME && written < GROUP_NAME_LENGTH - 1) {
		s->group.name[written] = c;
		s->group.name[(written + 1) & (GROUP_NAME_LENGTH - 1)] = 0;
		s->group.flags |= GROUP_FROM_ATTRIBUTES;
		s->written = written + 1;
	} else if (s->state == SCAN_NAMESPACE && written < GROUP_NAMESPACE_LENGTH - 1) {
		s->group.name_space[written & (GROUP_NAMESPACE_LENGTH - 1)] = c;
		s->group.name_space[(written + 1) & (GROUP_NAMESPACE_LENGTH - 1)] = 0;
		s->written = written + 1;
	}
	return 0;
}

__noinline int scan_bytes(__u32 scratch_id, __u32 at)
{
	for (__u32 i = 0; i < CHUNK; i++)
		if (scan_byte(scratch_id, at + i))
			return 1;
	return 0;
}

static __always_inline void scan_to_end(struct scratch *s, __u32 scratch_id)
{
	start_key(s);
	s->comma = 0;
	for (__u32 at = 0; at < ATTRIBUTES_BYTES; at += CHUNK)
		if (scan_bytes(scratch_id, at))
			return;
}

/* Finds service.name and service.namespace in OTEL_RESOURCE_ATTRIBUTES, still encoded:
 * user space decodes them and merges equal ones. Of equal keys the last wins. */
static __always_inline void scan_attributes(struct scratch *s, __u32 scratch_id)
{
	scan_to_end(s, scratch_id);
	if (!(s->record.flags & PROCESS_ATTRIBUTES_CUT))
		return;
	/* A part of a value would be a wrong value: scan again, without the last pair. */
	s->data[(s->attributes_at + s->comma) & (SCRATCH_DATA - 1)] = 0;
	__builtin_memset(&s->group, 0, sizeof(s->group));
	scan_to_end(s, scratch_id);
}

/* Overwrites data, which is not needed any more. */
static __always_inline void name_executable(struct task_struct *task, struct scratch *s,
					    __u32 scratch_id)
{
	s->group.flags |= GROUP_FROM_EXECUTABLE;
	s->offset = 0;
	append_name(task, s, scratch_id);
	bpf_probe_read_kernel_str(s->group.name, GROUP_NAME_LENGTH, s->data);
}

/* A value of a hash table, or none. Its element may be deleted and reused for another key
 * while it is read: then a second lookup finds another value, or nothing. */
#define value_of(map, key, none)                                              \
	({                                                                    \
		typeof(none) *found = bpf_map_lookup_elem(map, key), value = none; \
		if (found) {                                                  \
			value = READ_ONCE(*found);                            \
			found = bpf_map_lookup_elem(map, key);                \
			if (!found || READ_ONCE(*found) != value)             \
				value = none;                                 \
		}                                                             \
		value;                                                        \
	})

#define NO_OWNER 0U

/* The index of an owner. Those for which none is free share one. */
static __always_inline __u32 find_owner(__u64 owner)
{
	__u32 index = value_of(&owners, &owner, NO_OWNER);
	struct owner_state *o;

	if (index || bpf_map_pop_elem(&free_owners, &index))
		return index;
	o = bpf_map_lookup_elem(&owner_states, &index);
	if (o) {
		o->slots_of_group = ~0U;
		o->unsettled = shares.unsettled;
	}
	if (bpf_map_update_elem(&owners, &owner, &index, BPF_NOEXIST) == 0)
		return index;
	give_back(&free_owners, &index); /* another CPU was first */
	return value_of(&owners, &owner, NO_OWNER);
}

static __always_inline bool may_have_group(const struct owner_state *o)
{
	return o->groups < SHARE_OF_REST * READ_ONCE(shares.free_groups) &&
	       o->groups < shares.groups_of_owner;
}

static __always_inline __u32 new_group(const struct group_key *key)
{
	__u32 owner, number, index;
	struct owner_state *o;
	struct group_state *g;

	if (READ_ONCE(shares.free_groups) <= 0) /* an owner without a group would stay */
		return GROUP_OVERFLOW;
	owner = find_owner(key->owner);
	o = bpf_map_lookup_elem(&owner_states, &owner);
	if (!o || !may_have_group(o) || bpf_map_pop_elem(&free_groups, &number))
		return GROUP_OVERFLOW;
	index = GROUP_INDEX(number);
	g = bpf_map_lookup_elem(&group_states, &index);
	if (!g) /* never: every group of the freelist has its state */
		return GROUP_OVERFLOW;
	g->owner = owner;
	if (bpf_map_update_elem(&groups, key, &number, BPF_NOEXIST)) {
		give_back(&free_groups, &number); /* another CPU was first */
		return value_of(&groups, key, (__u32)GROUP_OVERFLOW);
	}
	__sync_fetch_and_add(&shares.free_groups, -1);
	__sync_fetch_and_add(&o->groups, 1);
	return number;
}

static __always_inline __u32 find_group(const struct group_key *key)
{
	__u32 group = value_of(&groups, key, (__u32)GROUP_OVERFLOW);

	if (!group)
		group = new_group(key);
	if (!group)
		counter_inc(group_overflow);
	return group;
}

/* The service of its own OpenTelemetry settings, or its executable's name. */
static __always_inline void name_service(struct task_struct *task, struct scratch *s,
					 __u32 scratch_id)
{
	read_environment(task, s, scratch_id);
	if (s->attributes_at)
		scan_attributes(s, scratch_id);
	if (s->name_at && s->data[s->name_at & (SCRATCH_DATA - 1)]) {
		__builtin_memset(s->group.name, 0, sizeof(s->group.name));
		bpf_probe_read_kernel_str(s->group.name, sizeof(s->group.name),
					  &s->data[s->name_at & (SCRATCH_DATA - 1)]);
		s->group.flags = GROUP_FROM_SERVICE_NAME;
	}
	if (!(s->group.flags & (GROUP_FROM_SERVICE_NAME | GROUP_FROM_ATTRIBUTES)))
		name_executable(task, s, scratch_id);
	if (s->record.flags & PROCESS_ENVIRONMENT_UNAVAILABLE)
		s->group.flags |= GROUP_ENVIRONMENT_UNAVAILABLE;
}

static __always_inline void name_container(struct task_struct *task, struct scratch *s,
					   __u32 scratch_id)
{
	s->offset = 0;
	read_cgroups(BPF_CORE_READ(task, group_leader), s, scratch_id, false);
	bpf_probe_read_kernel(s->group.name, CONTAINER_ID_LENGTH, s->record.container);
	s->group.flags = GROUP_OF_CONTAINER;
}

/* The group of a new process. */
__noinline int identify(__u32 scratch_id, __u64 start, __u32 exec_id)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return GROUP_OVERFLOW;
	__builtin_memset(&s->group, 0, sizeof(s->group));
	s->group.owner = bpf_get_current_cgroup_id();
	switch (group_by) {
	case GROUP_BY_SERVICE:
		name_service(task, s, scratch_id);
		break;
	case GROUP_BY_CONTAINER:
		name_container(task, s, scratch_id);
		break;
	case GROUP_BY_PROCESS:
		name_service(task, s, scratch_id);
		s->group.flags |= GROUP_OF_PROCESS;
		s->group.pid_struct = (__u64)BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]);
		break;
	default:
		s->group.flags = GROUP_OF_HOST;
	}
	if (s->group.flags & (GROUP_OF_PROCESS | GROUP_ENVIRONMENT_UNAVAILABLE)) {
		s->group.process.start = start;
		s->group.process.pid = bpf_get_current_pid_tgid() >> 32;
		s->group.process.exec_id = exec_id;
	}
	return find_group(&s->group);
}

/* Whether a group is still that of those who remember its number. */
static __always_inline bool group_is_current(__u32 group)
{
	__u32 index = GROUP_INDEX(group);
	struct group_state *g = bpf_map_lookup_elem(&group_states, &index);

	return index != GROUP_OVERFLOW && g && g->number == group;
}

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

/* Checks a process for user space, and forgets one that has ended. */
__noinline int check_process(__u32 index)
{
	struct process_check *c = &process_checks[index & (CHECKS_MAX - 1)];
	struct process_entry *known;

	c->ended = !process_runs(c->pid_struct, c->start);
	if (!c->ended)
		return 0;
	known = bpf_map_lookup_elem(&processes, &c->pid);
	if (known && known->start == c->start)
		bpf_map_delete_elem(&processes, &c->pid);
	return 0;
}

#endif
