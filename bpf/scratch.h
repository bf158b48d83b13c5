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

#include "maps.h"

#define CHUNK 32

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
