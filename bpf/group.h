/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The group under which a process's calls are counted, found at its first call: its
 * service, container, systemd unit, itself, several of these, or the host.
 */
#ifndef GETSOCKOPT_GROUP_H
#define GETSOCKOPT_GROUP_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "attributes.h"
#include "cgroup.h"
#include "kernel.h"
#include "maps.h"
#include "process.h"
#include "records.h"
#include "scratch.h"
#include "series.h"

/* Overwrites data, which is not needed any more. */
static __always_inline void name_executable(struct task_struct *task, struct scratch *s,
					    __u32 scratch_id)
{
	s->group.flags |= GROUP_FROM_EXECUTABLE;
	s->offset = 0;
	append_name(task, s, scratch_id);
	bpf_probe_read_kernel_str(s->group.name, GROUP_NAME_LENGTH, s->data);
}

/* The name without the suffix and the instance. */
static __always_inline void name_unit(struct scratch *s)
{
	__u32 length = s->unit.service_length & (GROUP_NAME_LENGTH - 1);

	if (length == 0)
		return;
	s->group.flags |= GROUP_FROM_UNIT;
	bpf_probe_read_kernel_str(s->group.name, length + 1, s->unit.name); /* and a NUL */
}

#define OWN_NAME (GROUP_FROM_SERVICE_NAME | GROUP_FROM_ATTRIBUTES)
#define ANY_NAME (OWN_NAME | GROUP_FROM_UNIT | GROUP_FROM_EXECUTABLE)

/* Overwrites data. */
static __always_inline void name_by_fallback(struct task_struct *task, struct scratch *s,
					     __u32 scratch_id)
{
	for (__u32 i = 0; i < FALLBACKS_MAX; i++) {
		if (s->group.flags & ANY_NAME)
			return;
		if (name_fallbacks[i] == FALLBACK_UNIT)
			name_unit(s);
		else if (name_fallbacks[i] == FALLBACK_EXECUTABLE)
			name_executable(task, s, scratch_id);
	}
}

/* The group of a key, GROUP_OVERFLOW for none. The element may be deleted and reused for
 * another key while it is read: then a second lookup finds another value, or nothing. */
static __always_inline __u32 known_group(const struct group_key *key)
{
	struct group_value *known = bpf_map_lookup_elem(&groups, key);
	__u32 group;

	if (!known)
		return GROUP_OVERFLOW;
	group = READ_ONCE(known->group);
	known = bpf_map_lookup_elem(&groups, key);
	return known && READ_ONCE(known->group) == group ? group : GROUP_OVERFLOW;
}

#define NO_OWNER 0

/* As known_group. */
static __always_inline __u32 known_owner(const __u64 *owner)
{
	__u32 *known = bpf_map_lookup_elem(&owners, owner), index;

	if (!known)
		return NO_OWNER;
	index = READ_ONCE(*known);
	known = bpf_map_lookup_elem(&owners, owner);
	return known && READ_ONCE(*known) == index ? index : NO_OWNER;
}

/* The index of an owner. Those for which none is free share one. */
static __always_inline __u32 find_owner(__u64 owner)
{
	__u32 index = known_owner(&owner);
	struct owner_state *o;

	if (index != NO_OWNER || bpf_map_pop_elem(&free_owners, &index))
		return index;
	o = bpf_map_lookup_elem(&owner_states, &index);
	if (o) {
		o->slots_of_group = ~0U;
		o->unsettled = shares.unsettled;
	}
	if (bpf_map_update_elem(&owners, &owner, &index, BPF_NOEXIST) == 0)
		return index;
	give_back(&free_owners, &index); /* another CPU was first */
	return known_owner(&owner);
}

static __always_inline bool may_have_group(const struct owner_state *o)
{
	return o->groups < owner_limit(READ_ONCE(shares.free_groups), shares.fair_groups) &&
	       o->groups < shares.groups_of_owner;
}

static __always_inline __u32 new_group(const struct group_key *key, struct group_value *value)
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
	value->group = number;
	if (bpf_map_update_elem(&groups, key, value, BPF_NOEXIST)) {
		give_back(&free_groups, &number); /* another CPU was first */
		return known_group(key);
	}
	__sync_fetch_and_add(&shares.free_groups, -1);
	__sync_fetch_and_add(&o->groups, 1);
	return number;
}

/* The group that identify() has described. Not called by it: the stacks of both together
 * would be too large. */
__noinline int find_group(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	__u32 group;

	if (!s)
		return GROUP_OVERFLOW;
	group = known_group(&s->group);
	if (group == GROUP_OVERFLOW)
		group = new_group(&s->group, &s->described);
	if (group == GROUP_OVERFLOW)
		counter_inc(group_overflow);
	return group;
}

/* Reads what the process's own OpenTelemetry settings name. */
static __always_inline void read_own_names(struct task_struct *task, struct scratch *s,
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
}

/*
 * Puts the names that the program has published in the place of those of its environment,
 * and returns which. They are copied to data first: an element may be reused for another
 * process while it is read, and then has another version.
 */
__noinline int take_published_names(__u32 scratch_id, __u64 start, __u32 exec_id)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct published_names *found, *n;
	struct scratch *s = scratch(scratch_id);
	int published = 0;

	found = bpf_map_lookup_elem(&published_names, &pid);
	if (!s || !found)
		return 0;
	n = (void *)s->data;
	bpf_probe_read_kernel(n, sizeof(*n), found);
	found = bpf_map_lookup_elem(&published_names, &pid);
	if (!found || READ_ONCE(found->version) != n->version || n->start != start ||
	    n->exec_id != exec_id)
		return 0;
	if (n->name[0]) {
		bpf_probe_read_kernel(s->group.name, GROUP_NAME_LENGTH, n->name);
		s->group.flags = GROUP_FROM_SERVICE_NAME; /* it is not encoded either */
		published |= GROUP_NAME_PUBLISHED;
	}
	if (n->name_space[0]) {
		bpf_probe_read_kernel(s->group.name_space, GROUP_NAMESPACE_LENGTH, n->name_space);
		published |= GROUP_NAMESPACE_PUBLISHED;
	}
	if (n->instance[0]) {
		bpf_probe_read_kernel(s->described.location.instance, GROUP_INSTANCE_LENGTH,
				      n->instance);
		published |= GROUP_INSTANCE_PUBLISHED;
	}
	return published;
}

/* What names a service, and with it a process. */
#define GROUP_BY_NAME (GROUP_BY_SERVICE | GROUP_BY_PROCESS)

static __always_inline void name_group(struct task_struct *task, struct scratch *s,
				       __u32 scratch_id, __u64 start, __u32 exec_id)
{
	int published = 0;

	read_own_names(task, s, scratch_id);
	if (process_contexts_enabled)
		published = take_published_names(scratch_id, start, exec_id);
	if (group_by & GROUP_BY_NAME) {
		name_by_fallback(task, s, scratch_id);
		s->group.flags |= GROUP_OF_SERVICE;
	} else {
		__builtin_memset(&s->group, 0, sizeof(s->group)); /* only the instance counts */
	}
	if (s->record.flags & PROCESS_ENVIRONMENT_UNAVAILABLE)
		s->group.flags |= GROUP_ENVIRONMENT_UNAVAILABLE | published;
}

static __always_inline void locate_group(struct scratch *s)
{
	struct group_location *location = &s->described.location;

	if (group_by & GROUP_BY_CONTAINER) {
		s->group.flags |= GROUP_OF_CONTAINER;
		bpf_probe_read_kernel(location->container, CONTAINER_ID_LENGTH,
				      s->record.container);
		bpf_probe_read_kernel(location->pod, POD_UID_LENGTH, s->record.pod);
	} else {
		__builtin_memset(location->instance, 0, GROUP_INSTANCE_LENGTH);
	}
	if (group_by & GROUP_BY_UNIT && s->unit.service_length)
		bpf_probe_read_kernel(location->unit, UNIT_NAME_LENGTH, s->unit.name);
}

__noinline int hash_location(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);

	if (s)
		s->group.location_hash = hash_words((const __u64 *)&s->described.location,
						    sizeof(s->described.location) / 8);
	return 0;
}

/* Describes the group of a new process, whose cgroups were read. */
__noinline int identify(__u32 scratch_id, __u64 start, __u32 exec_id)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return 0;
	__builtin_memset(&s->group, 0, sizeof(s->group));
	__builtin_memset(&s->described, 0, sizeof(s->described));
	if (group_by & (GROUP_BY_NAME | GROUP_BY_CONTAINER))
		name_group(task, s, scratch_id, start, exec_id);
	locate_group(s);
	if (group_by & (GROUP_BY_CONTAINER | GROUP_BY_UNIT))
		hash_location(scratch_id);
	if (group_by & GROUP_BY_PROCESS) {
		s->group.flags |= GROUP_OF_PROCESS;
		s->group.pid_struct = (__u64)BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]);
	}
	if (group_by & GROUP_BY_HOST)
		s->group.flags |= GROUP_OF_HOST;
	if (s->group.flags & (GROUP_OF_PROCESS | GROUP_ENVIRONMENT_UNAVAILABLE)) {
		s->group.process.start = start;
		s->group.process.pid = bpf_get_current_pid_tgid() >> 32;
		s->group.process.exec_id = exec_id;
	}
	s->group.owner = s->owner;
	return 0;
}

/* Whether a group is still that of those who remember its number. */
static __always_inline bool group_is_current(__u32 group)
{
	__u32 index = GROUP_INDEX(group);
	struct group_state *g = bpf_map_lookup_elem(&group_states, &index);

	return index != GROUP_OVERFLOW && g && g->number == group;
}

#endif
