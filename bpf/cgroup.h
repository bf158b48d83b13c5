/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cgroups of a process: its path in one hierarchy, and what the paths name: the
 * container, its pod, the systemd unit, and the owner.
 *
 * A path is walked from its leaf, so the first container found is the innermost. The
 * name of a cgroup, or of the one above it, identifies the engine that made it. The unit
 * is the outermost one inside of the container: a unit above is the engine's.
 *
 * The first hierarchy that names a container counts. Units are made by systemd in v2 and
 * in its own hierarchy of v1: those of controllers know less, or what somebody else did.
 */
#ifndef GETSOCKOPT_CGROUP_H
#define GETSOCKOPT_CGROUP_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "container.h"
#include "kernel.h"
#include "maps.h"
#include "owner.h"
#include "pod.h"
#include "records.h"
#include "scratch.h"
#include "unit.h"

#define CGROUP_STEPS 2048

static const char conmon[ENGINE_LENGTH] = "conmon";
static const char systemd_hierarchy[] = "systemd";    /* 8 bytes, with its NUL */
static const char split_prefix[] = "libpod-payload-"; /* podman with --cgroups=split */

/* Begins with a container that the component names: what was found of units is in it. */
static __always_inline void begin_container(struct scratch *s, __u32 found, __u32 id_at)
{
	s->candidate = found;
	s->candidate_depth = s->depth;
	copy_unit(&s->inside_unit, &s->path_unit);
	s->split = BEGINS_WITH(s, split_prefix);
	__builtin_memset(s->path_pod, 0, POD_UID_LENGTH);
	__builtin_memset(s->path_container, 0, CONTAINER_ID_LENGTH);
	if (found == CANDIDATE_FARGATE)
		bpf_probe_read_kernel_str(s->path_container, CONTAINER_ID_LENGTH, s->component);
	else
		bpf_probe_read_kernel(s->path_container, CONTAINER_ID_LENGTH,
				      &s->component[id_at & (COMPONENT_MAX - 1)]);
}

static __always_inline void look_for_container(struct scratch *s, __u32 found, __u32 id_at,
					       __u32 length)
{
	if (s->candidate == CANDIDATE_CERTAIN)
		return;
	judge_candidate(s, length);
	if (found == CANDIDATE_NONE || s->candidate == CANDIDATE_CERTAIN)
		return;
	if (s->candidate == CANDIDATE_BARE) {
		/* An engine that runs in the container gave the name. */
		if (found == CANDIDATE_CERTAIN)
			s->candidate = CANDIDATE_CERTAIN;
		return;
	}
	begin_container(s, found, id_at);
}

static __always_inline void look_for_unit(struct scratch *s, __u32 length, int kind, bool container)
{
	bool own = s->split && s->depth == s->candidate_depth + 1;

	if (kind == UNIT_SERVICE) {
		take_unit(s, &s->path_unit, length);
		if (own && !s->inside_unit.service_length)
			copy_unit(&s->inside_unit, &s->path_unit);
	} else if (kind == UNIT_UNNAMED && !container) {
		s->path_unit.service_length = 0;
	}
}

/* Takes what the component of a path names. */
__noinline int look_at_component(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	__u32 found = CANDIDATE_NONE, id_at = 0, length;
	int kind;

	if (!s)
		return 0;
	length = s->component_length;
	scan_component(s, scratch_id);
	kind = unit_kind(scratch_id, length);
	if (s->depth == 0)
		s->monitor = same_name(s->component, conmon);
	/* conmon's cgroup lies in that of its container, or of its pod. */
	if (!s->monitor || s->depth != 1)
		found = candidate_of(s, scratch_id, length, &id_at);
	look_for_container(s, found, id_at, length);
	if (s->candidate != CANDIDATE_NONE && !s->path_pod[0])
		take_pod(scratch_id, find_pod(scratch_id, length));
	look_for_unit(s, length, kind, found != CANDIDATE_NONE);
	look_for_owner(s, length, kind, found != CANDIDATE_NONE);
	s->depth++;
	return 0;
}

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	struct kernfs_node___rcu *rcu = (void *)node;

	if (bpf_core_field_exists(rcu->__parent))
		return BPF_CORE_READ(rcu, __parent);
	return BPF_CORE_READ(node, parent);
}

static __always_inline struct cgroup *cgroup_of_link(struct list_head *link)
{
	struct cgrp_cset_link *cset_link =
		(void *)link - bpf_core_field_offset(struct cgrp_cset_link, cgrp_link);

	return BPF_CORE_READ(cset_link, cgrp);
}

static __always_inline bool is_systemds(struct cgroup *cgroup)
{
	struct cgroup_root *root = BPF_CORE_READ(cgroup, root);
	__u64 name = 0;

	if (BPF_CORE_READ(root, hierarchy_id) == 0)
		return true;
	bpf_probe_read_kernel(&name, sizeof(name),
			      (void *)root + bpf_core_field_offset(struct cgroup_root, name));
	return same8((void *)&name, systemd_hierarchy);
}

/* Finds the hierarchy of the lowest number in which the process is not at the root:
 * v2 is number 0, and systemd's own is the first of v1. */
__noinline int next_hierarchy(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	struct list_head *link;
	struct cgroup *cgroup;
	__u32 hierarchy;

	if (!s)
		return 1;
	link = (void *)s->link;
	if (!link || s->link == s->head)
		return 1;
	s->link = (__u64)BPF_CORE_READ(link, next);
	cgroup = cgroup_of_link(link);
	if (!cgroup || BPF_CORE_READ(cgroup, level) == 0)
		return 0;
	hierarchy = BPF_CORE_READ(cgroup, root, hierarchy_id);
	if (hierarchy < s->record.cgroup_hierarchy) {
		s->record.cgroup_hierarchy = hierarchy;
		s->node = (__u64)BPF_CORE_READ(cgroup, kn);
		s->by_systemd = is_systemds(cgroup);
	}
	return 0;
}

static __always_inline void begin_cgroup_path(struct scratch *s, __u64 node, __u32 hierarchy)
{
	s->node = node;
	s->path_leaf_node = node;
	s->hierarchy = hierarchy;
	s->depth = 0;
	s->monitor = 0;
	s->candidate = CANDIDATE_NONE;
	s->split = 0;
	s->path_unit.service_length = 0;
	s->path_owner_rank = OWNER_NONE;
}

static __always_inline bool same_container(const struct scratch *s)
{
	for (__u32 i = 0; i < CONTAINER_ID_LENGTH; i += 8)
		if (!same8((void *)&s->path_container[i], &s->record.container[i]))
			return false;
	return true;
}

/* Takes the unit of a path, unless one that precedes it is known. */
static __always_inline void take_path_unit(struct scratch *s, const struct systemd_unit *unit)
{
	if (s->by_systemd < s->unit_by_systemd ||
	    (s->by_systemd == s->unit_by_systemd && s->unit.service_length))
		return;
	copy_unit(&s->unit, unit);
	s->unit_by_systemd = s->by_systemd;
	s->leaf_node = s->path_leaf_node;
}

static __always_inline void take_path_owner(struct scratch *s)
{
	s->owner = s->path_owner;
	s->owner_rank = s->path_owner_rank;
}

/* At the root of a hierarchy. */
__noinline int end_cgroup_path(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return 0;
	s->node = 0;
	s->keeping = 0;
	if (s->candidate == CANDIDATE_NONE || s->candidate == CANDIDATE_FARGATE) {
		if (s->record.container[0])
			return 0;
		take_path_unit(s, &s->path_unit);
		if (s->path_owner_rank > s->owner_rank)
			take_path_owner(s);
		return 0;
	}
	if (!s->record.container[0]) {
		bpf_probe_read_kernel(s->record.container, CONTAINER_ID_LENGTH, s->path_container);
		bpf_probe_read_kernel(s->record.pod, POD_UID_LENGTH, s->path_pod);
		take_path_owner(s);
		s->unit.service_length = 0;
		s->unit_by_systemd = 0;
	}
	if (same_container(s))
		take_path_unit(s, &s->inside_unit);
	return 0;
}

static __always_inline void cut_cgroup_path(struct scratch *s)
{
	s->record.flags |= PROCESS_CGROUP_CUT;
	if (s->keeping)
		s->offset = s->cgroup_at;
	s->keeping = 0;
}

enum cgroup_step {
	STEP_NEXT = 0,
	STEP_COMPONENT, /* component is one of the path */
	STEP_ROOT,      /* of a hierarchy */
	STEP_END,       /* of the last hierarchy */
};

/* Takes the next component of the path in one hierarchy, leaf first, or the next
 * hierarchy. */
__noinline int next_cgroup_step(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	struct kernfs_node *node, *parent;
	struct list_head *link;
	struct cgroup *cgroup;
	long length;

	if (!s)
		return STEP_END;
	node = (void *)s->node;
	if (node) {
		parent = kernfs_parent(node);
		if (!parent)
			return STEP_ROOT;
		s->node = (__u64)parent;
		s->component_node = (__u64)node;
		__builtin_memset(s->component, 0, ENGINE_LENGTH);
		length = bpf_probe_read_kernel_str(s->component, COMPONENT_MAX,
						   BPF_CORE_READ(node, name));
		if (s->keeping && !append_component(s, BPF_CORE_READ(node, name)))
			cut_cgroup_path(s);
		if (length <= 0)
			return STEP_NEXT;
		s->component_length = length - 1;
		return STEP_COMPONENT;
	}
	link = (void *)s->link;
	if (!link || s->link == s->head)
		return STEP_END;
	s->link = (__u64)BPF_CORE_READ(link, next);
	cgroup = cgroup_of_link(link);
	if (!cgroup || BPF_CORE_READ(cgroup, level) == 0 ||
	    (__u32)BPF_CORE_READ(cgroup, root, hierarchy_id) == s->record.cgroup_hierarchy)
		return STEP_NEXT;
	begin_cgroup_path(s, (__u64)BPF_CORE_READ(cgroup, kn),
			  BPF_CORE_READ(cgroup, root, hierarchy_id));
	s->by_systemd = is_systemds(cgroup);
	return STEP_NEXT;
}

/* True at the end. */
static __always_inline bool take_cgroup_step(__u32 scratch_id)
{
	int step = next_cgroup_step(scratch_id);

	if (step == STEP_COMPONENT)
		look_at_component(scratch_id);
	else if (step == STEP_ROOT)
		end_cgroup_path(scratch_id);
	return step == STEP_END;
}

LONG_LOOP(walk_cgroups, take_cgroup_step, CGROUP_STEPS)

static __always_inline void forget_cgroups(struct scratch *s)
{
	__builtin_memset(s->record.container, 0, CONTAINER_ID_LENGTH);
	__builtin_memset(s->record.pod, 0, POD_UID_LENGTH);
	s->unit.service_length = 0;
	s->unit_by_systemd = 0;
	s->leaf_node = 0;
	s->owner = 0;
	s->owner_rank = OWNER_NONE;
}

static __always_inline void walk_to_container(struct scratch *s, __u32 scratch_id)
{
	if (walk_cgroups(scratch_id) || s->record.container[0])
		return;
	cut_cgroup_path(s);
	if (s->candidate == CANDIDATE_CERTAIN)
		end_cgroup_path(scratch_id);
	s->owner = 0; /* the outermost is not known */
}

/* Reads the cgroups of the main thread, which stand for those of the process: in v1 and
 * in threaded cgroups of v2, other threads may be in others. With keep it appends the
 * path to data. */
static __always_inline void read_cgroups(struct task_struct *leader, struct scratch *s,
					 __u32 scratch_id, bool keep)
{
	struct css_set *set = BPF_CORE_READ(leader, cgroups);
	struct list_head *head = (void *)set + bpf_core_field_offset(struct css_set, cgrp_links);

	forget_cgroups(s);
	s->record.cgroup_hierarchy = NO_HIERARCHY;
	s->cgroup_at = s->offset;
	s->keeping = keep;
	s->head = (__u64)head;
	s->link = (__u64)BPF_CORE_READ(head, next);
	begin_cgroup_path(s, 0, 0);
	for (int i = 0; i < CHUNK; i++)
		if (next_hierarchy(scratch_id))
			break;
	s->hierarchy = s->record.cgroup_hierarchy;
	s->path_leaf_node = s->node;
	s->link = (__u64)BPF_CORE_READ(head, next);
	walk_to_container(s, scratch_id);
}

/* Replaces what the cgroups of the process name by what the one named that it was in at
 * its first call: its metrics have that. Of a cgroup that was removed nothing is left. */
static __always_inline void read_first_cgroup(struct scratch *s, __u32 scratch_id, __u64 node,
					      __u64 id)
{
	struct kernfs_node *kn = (void *)node;

	if (node == s->leaf_node)
		return;
	if (node && (BPF_CORE_READ(kn, count.counter) <= 0 || BPF_CORE_READ(kn, id) != id))
		return;
	forget_cgroups(s);
	s->keeping = 0;
	s->link = 0;
	begin_cgroup_path(s, node, 0);
	walk_to_container(s, scratch_id);
}

#endif
