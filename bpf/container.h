/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the id of a container in a component of a cgroup path.
 */
#ifndef GETSOCKOPT_CONTAINER_H
#define GETSOCKOPT_CONTAINER_H

#include <linux/bpf.h>
#include <stdbool.h>

#include "pod.h"
#include "records.h"
#include "scratch.h"
#include "unit.h"

#define FARGATE_TASK_LENGTH 32
#define ENGINE_LENGTH 16
#define POD_LENGTH 35 /* "pod" and a UID, which may lack its dashes */

enum container_candidate {
	CANDIDATE_NONE = 0,
	/* Only an id: below user.slice any program may name a cgroup so. */
	CANDIDATE_BARE,
	CANDIDATE_FARGATE, /* an id if there is an ecs above */
	CANDIDATE_CERTAIN,
};

/* What engines put before a container's id: engine-<id>.scope with the systemd
 * driver, engine-<id> and parent:engine:<id> without. Nothing else may precede
 * it: crio-conmon-<id>.scope and libpod-conmon-<id>.scope hold a container's
 * monitor, which runs outside. */
static const char engines[][ENGINE_LENGTH] = {
	"docker", "cri-containerd", "containerd", "crio", "libpod", "libpod-payload", "nerdctl",
};

/* The names that engines give the cgroup above a bare id. */
static const char engine_parents[][ENGINE_LENGTH] = { "docker", "moby", "k8s.io", "default" };

static const char user_slice[ENGINE_LENGTH] = "user.slice";
static const char ecs[ENGINE_LENGTH] = "ecs";
static const char libpod_parent[ENGINE_LENGTH] = "libpod_parent";

static __always_inline bool same_name(const __u8 *a, const char *b)
{
	return same8(a, b) && same8(a + 8, b + 8);
}

/* Whether count characters of the component are hexadecimal digits. */
__noinline int hex_at(__u32 scratch_id, __u32 at, __u32 count)
{
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return 0;
	for (__u32 i = 0; i < CONTAINER_ID_LENGTH; i++) {
		if (i >= count)
			break;
		if (!is_hex(s->component[(at + i) & (COMPONENT_MAX - 1)]))
			return 0;
	}
	return 1;
}

/* Whether the characters before an id name an engine, and nothing else. */
__noinline int engine_before(__u32 scratch_id, __u32 id_at)
{
	struct scratch *s = scratch(scratch_id);
	__u8 name[ENGINE_LENGTH] = {};
	__u32 end = id_at - 1, length = 0;
	__u8 separator;

	if (!s || id_at == 0)
		return 0;
	separator = s->component[end & (COMPONENT_MAX - 1)];
	for (; length < ENGINE_LENGTH; length++)
		if (length == end || s->component[(end - length - 1) & (COMPONENT_MAX - 1)] == ':')
			break;
	if (length == ENGINE_LENGTH || separator != (length == end ? '-' : ':'))
		return 0;
	for (__u32 i = 0; i < ENGINE_LENGTH; i++)
		if (i < length)
			name[i] = s->component[(end - length + i) & (COMPONENT_MAX - 1)];
	for (__u32 i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		if (same_name(name, engines[i]))
			return 1;
	return 0;
}

/* Whether the component is an id of Amazon ECS on Fargate: the task's, and a
 * number for the container. */
static __always_inline bool is_fargate(const struct scratch *s, __u32 scratch_id, __u32 length)
{
	if (length < FARGATE_TASK_LENGTH + 2 || length >= CONTAINER_ID_LENGTH ||
	    s->component[FARGATE_TASK_LENGTH] != '-' || !hex_at(scratch_id, 0, FARGATE_TASK_LENGTH))
		return false;
	for (__u32 i = FARGATE_TASK_LENGTH + 1; i < CONTAINER_ID_LENGTH; i++) {
		if (i >= length)
			break;
		if (!is_digit(s->component[i]))
			return false;
	}
	return true;
}

/* Classifies a component by itself, and finds the id in it. */
static __always_inline __u32 candidate_of(struct scratch *s, __u32 scratch_id, __u32 length,
					  __u32 *id_at)
{
	bool scope = ENDS_WITH(s, length, scope_suffix);

	*id_at = 0;
	if (is_fargate(s, scratch_id, length))
		return CANDIDATE_FARGATE;
	if (scope)
		length -= sizeof(scope_suffix) - 1;
	if (length < CONTAINER_ID_LENGTH)
		return CANDIDATE_NONE;
	*id_at = length - CONTAINER_ID_LENGTH;
	if (!hex_at(scratch_id, *id_at, CONTAINER_ID_LENGTH))
		return CANDIDATE_NONE;
	if (*id_at == 0)
		return scope ? CANDIDATE_NONE : CANDIDATE_BARE;
	return engine_before(scratch_id, *id_at) ? CANDIDATE_CERTAIN : CANDIDATE_NONE;
}

/* Whether an engine names the cgroup above a bare id like this component. */
static __always_inline bool is_engine_parent(const struct scratch *s, __u32 length)
{
	for (__u32 i = 0; i < sizeof(engine_parents) / sizeof(engine_parents[0]); i++)
		if (same_name(s->component, engine_parents[i]))
			return true;
	return length >= POD_LENGTH && s->component[0] == 'p' && s->component[1] == 'o' &&
	       s->component[2] == 'd' && is_hex(s->component[3]);
}

/* Confirms or drops the candidate by a component above it. */
static __always_inline void judge_candidate(struct scratch *s, __u32 length)
{
	if (s->candidate == CANDIDATE_FARGATE && same_name(s->component, ecs))
		s->candidate = CANDIDATE_CERTAIN;
	if (s->candidate != CANDIDATE_BARE)
		return;
	if (same_name(s->component, user_slice))
		s->candidate = CANDIDATE_NONE;
	if (s->candidate_depth + 1 != s->depth)
		return;
	if (is_engine_parent(s, length))
		s->candidate = CANDIDATE_CERTAIN;
	if (same_name(s->component, libpod_parent))
		s->candidate = CANDIDATE_NONE; /* a pod of podman with cgroupfs */
}

#endif
