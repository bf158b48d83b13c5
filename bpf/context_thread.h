/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The thread context of OTEP 4947: a thread-local variable of the program points to a
 * record. How a thread finds its variable depends on how the program was linked; see
 * "ELF Handling For Thread-Local Storage" for the terms.
 *
 * What the dynamic linker wrote is read anew each time: a library may be unloaded, and
 * its memory used for something else.
 */
#ifndef GETSOCKOPT_CONTEXT_THREAD_H
#define GETSOCKOPT_CONTEXT_THREAD_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "arch.h"
#include "context_search.h"
#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "scratch.h"

/* A dynamic linker gives out small numbers to modules. What is larger is the address of
 * a relocation: glibc before 2.34 may bind a descriptor at its first use. */
#define MODULES_MAX 4096

#define DTV_ENTRY_GLIBC 16

static __always_inline bool is_glibc(const struct context_search *c)
{
	return c->by.dtv_entry == DTV_ENTRY_GLIBC;
}

/* Finds the thread's variable in the block of a library that was loaded at run time, from
 * the module and the offset. The thread has the addresses of its blocks in its dynamic
 * thread vector (DTV), in which the blocks that it has not used are missing. */
__noinline int find_in_module(__u32 scratch_id, __u64 thread_pointer)
{
	struct scratch *s = scratch(scratch_id);
	struct context_search *c;
	__u64 vector, block;

	if (!s)
		return PARENT_UNREADABLE;
	c = &s->context;
	if (c->index.module == 0 || c->index.module >= MODULES_MAX)
		return PARENT_ABSENT;
	if (read_user(&vector, sizeof(vector), thread_pointer + c->by.dtv_at))
		return PARENT_UNREADABLE;
	/* The number of entries is in the first one of musl, and before the first one of
	 * glibc, which has the generation in its first. */
	if (is_glibc(c) ? read_user(&c->vector, sizeof(c->vector), vector - DTV_ENTRY_GLIBC) :
			  read_user(&c->vector.entries, sizeof(c->vector.entries), vector))
		return PARENT_UNREADABLE;
	if (c->index.module > c->vector.entries)
		return PARENT_ABSENT;
	/* The entry may be of a library before, until the thread uses this one. */
	if (is_glibc(c) && c->index.generation > c->vector.generation)
		return PARENT_ABSENT;
	if (read_user(&block, sizeof(block), vector + c->index.module * c->by.dtv_entry))
		return PARENT_UNREADABLE;
	if (block == 0 || block == ~0ULL)
		return PARENT_ABSENT;
	c->at = block + c->index.offset;
	return PARENT_FOUND;
}

/* Finds the address of the thread's variable. */
__noinline int find_variable(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	__u64 tp = thread_pointer((void *)bpf_get_current_task());
	struct context_search *c;

	if (!s || !tp)
		return PARENT_UNREADABLE;
	c = &s->context;
	if (c->by.tls == TLS_OFFSET) {
		c->at = tp + c->by.variable;
		return PARENT_FOUND;
	}
	if (c->by.tls == TLS_SLOT_OFFSET) {
		if (read_user(&c->slot.second, sizeof(c->slot.second), c->by.variable))
			return PARENT_UNREADABLE;
	} else if (read_user(&c->slot, sizeof(c->slot), c->by.variable)) {
		return PARENT_UNREADABLE;
	}
	c->index.generation = 0; /* known from descriptors only */
	if (c->by.tls == TLS_SLOT_INDEX) {
		c->index.module = c->slot.first;
		c->index.offset = c->slot.second;
		return find_in_module(scratch_id, tp);
	}
	if (is_distance(c->slot.second)) {
		c->at = tp + c->slot.second;
		return PARENT_FOUND;
	}
	/* Zero is in a slot that is not filled yet, or whose memory was used anew. */
	if (c->by.tls == TLS_SLOT_OFFSET || !c->slot.second)
		return PARENT_ABSENT;
	if (is_glibc(c) ? read_user(&c->index, sizeof(c->index), c->slot.second) :
			  read_user(&c->index, 2 * sizeof(__u64), c->slot.second))
		return PARENT_UNREADABLE;
	return find_in_module(scratch_id, tp);
}

/* Reads the record. */
__noinline int read_thread_context(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	struct context_search *c;
	__u64 record;

	if (!s)
		return PARENT_UNREADABLE;
	c = &s->context;
	if (read_user(&record, sizeof(record), c->at))
		return PARENT_UNREADABLE;
	if (!record)
		return PARENT_ABSENT;
	if (read_user(&c->record, sizeof(c->record), record))
		return PARENT_UNREADABLE;
	if (c->record.valid != 1)
		return PARENT_ABSENT;
	__builtin_memcpy(c->parent.trace, c->record.trace, sizeof(c->parent.trace));
	__builtin_memcpy(c->parent.span, c->record.span, sizeof(c->parent.span));
	c->parent.flags = c->record.flags;
	c->parent.source = PARENT_THREAD_CONTEXT;
	return has_ids(&c->parent) ? PARENT_FOUND : PARENT_MALFORMED;
}

static __always_inline enum parent_search thread_parent(__u32 scratch_id)
{
	enum parent_search found = find_variable(scratch_id);

	return found == PARENT_FOUND ? read_thread_context(scratch_id) : found;
}

#endif
