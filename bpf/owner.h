/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The owner of a process: the cgroup of its container, of its systemd unit, or of its
 * user. What a program makes in a cgroup that was delegated to it counts as that cgroup,
 * so that no program without privileges has a second owner.
 *
 * It is the outermost one, because containers and users make cgroups with any names. Only
 * a unit above a container, which belongs to the engine, is not the owner of the
 * engine's containers.
 */
#ifndef GETSOCKOPT_OWNER_H
#define GETSOCKOPT_OWNER_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "scratch.h"
#include "unit.h"

enum owner_rank {
	OWNER_NONE = 0,
	OWNER_TOP,  /* the topmost cgroup: nothing else is known */
	OWNER_UNIT, /* or a user */
	OWNER_CONTAINER,
};

#define HIERARCHY_SHIFT 56

static const char user_slice_prefix[] = "user-";

/* A cgroup that root did not make is one that was delegated, or is in one. */
static __always_inline bool is_delegated(struct kernfs_node *node)
{
	struct kernfs_iattrs *attributes = BPF_CORE_READ(node, iattr);

	return attributes && BPF_CORE_READ(attributes, ia_uid.val);
}

static __always_inline bool is_user(const struct scratch *s, __u32 length)
{
	return BEGINS_WITH(s, user_slice_prefix) && is_slice(s, length);
}

/* The rank of the component, OWNER_NONE if one below it remains the owner. */
static __always_inline __u32 rank_of(const struct scratch *s, __u32 length, int kind,
				     bool container)
{
	if (container)
		return OWNER_CONTAINER;
	if (is_user(s, length) || is_delegated((void *)s->component_node))
		return OWNER_UNIT;
	if (kind != UNIT_NONE && s->path_owner_rank != OWNER_CONTAINER)
		return OWNER_UNIT;
	return s->path_owner_rank <= OWNER_TOP ? OWNER_TOP : OWNER_NONE;
}

/* Takes the component as the owner, if it is one. The ids of cgroups are of one
 * hierarchy; that of v2 is 0, so that an id is what other programs call it. */
static __always_inline void look_for_owner(struct scratch *s, __u32 length, int kind,
					   bool container)
{
	struct kernfs_node *node = (void *)s->component_node;
	__u32 rank = rank_of(s, length, kind, container);

	if (rank == OWNER_NONE)
		return;
	s->path_owner = BPF_CORE_READ(node, id) ^ (__u64)s->hierarchy << HIERARCHY_SHIFT;
	s->path_owner_rank = rank;
}

#endif
