/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The span that is active in the program when it makes a call: the parent of the call's
 * span. It is read for calls that become spans only, in the calling thread's own system
 * call, so the thread cannot change it meanwhile. User space finds out where it is.
 * Every read may fail, because a BPF program cannot fault pages in; the span then has no
 * parent.
 */
#ifndef GETSOCKOPT_CONTEXT_H
#define GETSOCKOPT_CONTEXT_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "context_go.h"
#include "context_search.h"
#include "context_thread.h"
#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "scratch.h"

static __always_inline enum parent_search obi_parent(struct context_search *c)
{
	__u64 thread = bpf_get_current_pid_tgid();
	const __u64 *ids;
	__u32 slot = 0;
	void *contexts;

	contexts = bpf_map_lookup_elem(&obi_contexts, &slot);
	if (!contexts)
		return PARENT_ABSENT;
	ids = bpf_map_lookup_elem(contexts, &thread);
	if (!ids)
		return PARENT_ABSENT;
	__builtin_memcpy(c->parent.trace, ids, sizeof(c->parent.trace));
	__builtin_memcpy(c->parent.span, ids + 2, sizeof(c->parent.span));
	if (!has_ids(&c->parent))
		return PARENT_ABSENT;
	c->parent.flags = 0;
	c->parent.source = PARENT_OBI;
	return PARENT_FOUND;
}

/* Searches the sources, the best first. OBI observes from outside, so its context is taken
 * only where the program itself has none. */
__noinline int search_sources(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	enum parent_search found = PARENT_ABSENT;

	if (!s)
		return false;
	if (s->context.by.sources & 1 << PARENT_THREAD_CONTEXT)
		found = thread_parent(scratch_id);
	if (found == PARENT_ABSENT && s->context.by.sources & 1 << PARENT_GO_LABELS)
		found = go_parent(scratch_id, &s->context);
	if (found == PARENT_ABSENT && obi_present)
		found = obi_parent(&s->context);
	if (found == PARENT_UNREADABLE)
		__sync_fetch_and_add(&parents_unread.unreadable, 1);
	else if (found == PARENT_MALFORMED)
		__sync_fetch_and_add(&parents_unread.malformed, 1);
	return found == PARENT_FOUND;
}

static __always_inline bool is_of(const struct publisher *by, const struct process_key *process)
{
	return READ_ONCE(by->start) == process->start && READ_ONCE(by->exec_id) == process->exec_id;
}

static __always_inline const struct publisher *publisher_of(const struct process_key *process)
{
	const struct publisher *by = bpf_map_lookup_elem(&publishers, &process->pid);

	return by && is_of(by, process) ? by : NULL;
}

/* A parent that was found is in a scratch buffer until parent_release. */
struct parent_found {
	const struct span_parent *parent; /* NULL: none */
	__u32 scratch_id;
};

static __always_inline void parent_release(const struct parent_found *found)
{
	if (found->parent)
		scratch_release(found->scratch_id);
}

/* by is NULL if the process is no publisher itself. */
static __always_inline void search_parent(const struct publisher *by,
					  const struct process_key *process,
					  struct parent_found *found)
{
	struct scratch *s;

	if (!scratch_acquire(&found->scratch_id)) {
		__sync_fetch_and_add(&parents_unread.unreadable, 1);
		return;
	}
	s = scratch(found->scratch_id);
	if (s) {
		s->context.by.sources = 0;
		if (by)
			s->context.by = *by;
		/* The element may have been reused for another process meanwhile. */
		if (by && !(is_of(&s->context.by, process) && is_of(by, process)))
			s->context.by.sources = 0;
		if (search_sources(found->scratch_id)) {
			found->parent = &s->context.parent;
			return;
		}
	}
	scratch_release(found->scratch_id);
}

static __always_inline void parent_of_call(struct thread_state *t, struct parent_found *found)
{
	const struct publisher *by;
	__u32 version;

	found->parent = NULL;
	if (!parents_enabled)
		return;
	version = READ_ONCE(contexts_version);
	if (t->no_publisher == version || t->call.flags & CALL_COMPAT)
		return;
	by = publisher_of(&t->process);
	if (by || obi_present)
		search_parent(by, &t->process, found);
	else
		t->no_publisher = version;
}

/* The same for a request of io_uring. Outside of the system call that submitted it, the
 * thread may be in another span. */
static __always_inline void parent_of_request(const struct uring_request *r, bool submitting,
					      struct parent_found *found)
{
	const struct publisher *by;

	found->parent = NULL;
	if (!parents_enabled)
		return;
	by = publisher_of(&r->origin.process);
	if (!by && !obi_present)
		return;
	if (submitting)
		search_parent(by, &r->origin.process, found);
	else
		__sync_fetch_and_add(&parents_unread.deferred, 1);
}

#endif
