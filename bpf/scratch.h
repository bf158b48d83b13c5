/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The scratch buffers in which programs identify a process.
 *
 * The steps of every loop over them are global functions without pointer arguments,
 * and their state is in the map. The verifier then checks a step once (5.6), not once
 * for each iteration, and the paths through one step do not multiply those of another.
 * Long loops have two levels: the verifier walks 32 + n / 32 iterations, not n.
 */
#ifndef GETSOCKOPT_SCRATCH_H
#define GETSOCKOPT_SCRATCH_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "context_search.h"
#include "maps.h"
#include "records.h"

/* A program borrows a buffer, so that their number does not grow with the CPUs. The
 * verifier does not track values in a map, which also keeps its paths few. */
#define COMPONENT_MAX 256 /* NAME_MAX + 1 */
#define SCRATCH_DATA 8192
#define SCRATCH_SLACK 4096 /* the longest single read */

/* A systemd unit. The name of its service is the beginning of its own. */
struct systemd_unit {
	__u32 service_length; /* 0: no unit */
	char name[UNIT_NAME_LENGTH];
};

struct scratch {
	struct process_record record;
	__u8 data[SCRATCH_DATA + SCRATCH_SLACK];
	struct group_key group;
	struct group_value described; /* what the group's key does not contain */
	/* What the cgroups of a process name, see cgroup.h. */
	struct systemd_unit unit;
	__u64 owner;
	/* The state of the loops. In the environment: */
	__u64 at; /* the next string */
	__u64 end;
	/* In the executable's path: */
	__u64 dentry;
	__u64 mount;
	__u64 root_dentry; /* of the process */
	__u64 root_mount;
	/* In the cgroup hierarchies: */
	__u64 node;
	__u64 link;
	__u64 head;
	struct context_search context;
	__u64 states;        /* of a pattern, see struct glob_pattern */
	__u32 offset;        /* bytes of data in use */
	__u32 name_at;       /* offset in data of OTEL_SERVICE_NAME's value, 0: unset */
	__u32 attributes_at; /* the same of OTEL_RESOURCE_ATTRIBUTES */
	__u32 comma;         /* offset in it of the last one */
	__u32 within;        /* the next bytes continue a long string: 2 if it is kept */
	__u32 distrusted;    /* so many next strings may be the ends of others */
	__u32 assigned;      /* a string was a variable */
	/* The scan of OTEL_RESOURCE_ATTRIBUTES, see attributes.h. */
	__u32 state;
	__u32 matched;
	__u32 candidates;
	__u32 written;
	/* The search in a path for container and unit, see cgroup.h. */
	struct systemd_unit path_unit;   /* if there is no container */
	struct systemd_unit inside_unit; /* in the container, or its own */
	char path_container[CONTAINER_ID_LENGTH];
	char path_pod[POD_UID_LENGTH];
	__u32 by_systemd;      /* the path is of a hierarchy of systemd */
	__u32 unit_by_systemd; /* and so is the one that decided about unit */
	__u64 leaf_node;       /* of the path that named container and unit, 0: the root */
	__u64 path_leaf_node;
	__u64 path_owner;
	__u32 path_owner_rank; /* enum owner_rank */
	__u32 owner_rank;      /* of owner */
	__u32 hierarchy;       /* of the path */
	__u32 split;           /* podman runs the container in the unit of its service */
	__u64 component_node;
	__u32 component_length; /* without its NUL */
	__u32 at_sign;          /* in the component, 0: none */
	__u32 colon;
	__u32 pod_at;          /* of its uid */
	__u32 unit_characters; /* the component has no others */
	__u32 cgroup_at;       /* offset in data of the path that is kept */
	__u32 keeping;
	__u32 depth;     /* components of a path so far */
	__u32 candidate; /* enum container_candidate */
	__u32 candidate_depth;
	__u32 monitor;
	/* Aligned for skip_nuls, which would need bytes and their stack otherwise. */
	__u8 component[COMPONENT_MAX + CONTAINER_ID_LENGTH] __attribute__((aligned(8)));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch_buffers SEC(".maps");

/* The freelist of scratch buffers, filled by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, __u32);
} free_scratch SEC(".maps");

#define CHUNK 32

/* Defines name(), which calls step() until that returns true, and no more than so many
 * times. It returns whether that was so. */
#define LONG_LOOP(name, step, times)                       \
	__noinline int name##_chunk(__u32 scratch_id)      \
	{                                                  \
		for (int i = 0; i < CHUNK; i++)            \
			if (step(scratch_id))              \
				return 1;                  \
		return 0;                                  \
	}                                                  \
                                                           \
	static __always_inline bool name(__u32 scratch_id) \
	{                                                  \
		for (int i = 0; i < (times) / CHUNK; i++)  \
			if (name##_chunk(scratch_id))      \
				return true;               \
		return false;                              \
	}

static __always_inline struct scratch *scratch(__u32 scratch_id)
{
	return bpf_map_lookup_elem(&scratch_buffers, &scratch_id);
}

/* False when none is free: as many processes as there are scratch buffers make their
 * first call at the same time. */
static __always_inline bool scratch_acquire(__u32 *scratch_id)
{
	return bpf_map_pop_elem(&free_scratch, scratch_id) == 0;
}

static __always_inline void scratch_release(__u32 scratch_id)
{
	give_back(&free_scratch, &scratch_id);
}

static __always_inline bool same8(const __u8 *a, const char *b)
{
	return *(const __u64 *)a == *(const __u64 *)b;
}

/* Appends a name to data. False when it may not fit. */
static __always_inline bool append_component(struct scratch *s, const void *name)
{
	__u32 offset = s->offset & (SCRATCH_DATA - 1);
	long length;

	if (s->offset >= SCRATCH_DATA - COMPONENT_MAX)
		return false;
	length = bpf_probe_read_kernel_str(&s->data[offset], COMPONENT_MAX, name);
	if (length > 0)
		s->offset = offset + length;
	return true;
}

#endif
