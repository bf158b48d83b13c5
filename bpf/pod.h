/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The Kubernetes pod that a component of a cgroup path names: pod<uid> with the kubelet's
 * cgroupfs driver, and the end of a slice with its systemd driver, where the uid has
 * underscores for dashes.
 */
#ifndef GETSOCKOPT_POD_H
#define GETSOCKOPT_POD_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "records.h"
#include "scratch.h"
#include "unit.h"

#define STATIC_POD_UID_LENGTH 32 /* the hash of its manifest, without dashes */

static const char pod_prefix[] = "pod";

static __always_inline bool is_hex(__u8 c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

static __always_inline bool is_dash_of_uuid(__u32 i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

/* Takes the uid of that length at pod_at, if it is one. */
__noinline int take_pod(__u32 scratch_id, __u32 length)
{
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return 0;
	for (__u32 i = 0; i < POD_UID_LENGTH && i < length; i++) {
		__u8 c = character(s, s->pod_at + i);

		if (length == POD_UID_LENGTH && is_dash_of_uuid(i) ? c != '-' && c != '_' :
								     !is_hex(c))
			return 0;
	}
	for (__u32 i = 0; i < POD_UID_LENGTH && i < length; i++) {
		__u8 c = character(s, s->pod_at + i);

		s->path_pod[i] = c == '_' ? '-' : c;
	}
	return 0;
}

/* Whether "pod" precedes the uid, after nothing or, in a slice, after a dash. */
static __always_inline bool pod_before(const struct scratch *s, __u32 uid, bool slice)
{
	__u32 at = uid - (sizeof(pod_prefix) - 1);

	if (uid < sizeof(pod_prefix) - 1 || !text_at(s, at, pod_prefix, sizeof(pod_prefix) - 1))
		return false;
	return at == 0 || (slice && character(s, at - 1) == '-');
}

static __always_inline bool pod_ends_at(struct scratch *s, __u32 end, __u32 length, bool slice)
{
	s->pod_at = end - length;
	return end > length && pod_before(s, s->pod_at, slice);
}

/* Finds where the component may have the uid of a pod, and returns its length, 0 for none.
 * containerd may have the pod and the container in one: slice:cri-containerd:id. */
__noinline int find_pod(__u32 scratch_id, __u32 length)
{
	struct scratch *s = scratch(scratch_id);
	bool slice;
	__u32 end;

	if (!s)
		return 0;
	end = s->colon ? s->colon : length;
	slice = is_slice(s, end);
	if (slice)
		end -= sizeof(slice_suffix) - 1;
	if (pod_ends_at(s, end, POD_UID_LENGTH, slice))
		return POD_UID_LENGTH;
	return pod_ends_at(s, end, STATIC_POD_UID_LENGTH, slice) ? STATIC_POD_UID_LENGTH : 0;
}

#endif
