/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process context of OTEP 4719: the resource that a program's SDK publishes in the
 * program's memory. It is read in a thread of the program, where a read may fail but not
 * wait, and sent to user space, which decodes it and writes the names of the service to
 * the map published_names. group.h has them before those of the environment.
 */
#ifndef GETSOCKOPT_PROCESS_CONTEXT_H
#define GETSOCKOPT_PROCESS_CONTEXT_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "process.h"
#include "process_key.h"
#include "records.h"
#include "shared_table.h"

struct context_header {
	__u64 signature;
	__u32 version;
	__u32 payload_size;
	__u64 published_at; /* 0: it changes now. Each update has another */
	__u64 payload;
};

#define CONTEXT_SIGNATURE "OTEL_CTX"
#define CONTEXT_VERSION 2

enum context_read {
	CONTEXT_READ,
	CONTEXT_UNREADABLE,
	CONTEXT_CHANGING,
	CONTEXT_MALFORMED,
	CONTEXT_RING_FULL,
};

/* How often a context is tried that could not be read: its pages may come back. */
#define CONTEXT_ATTEMPTS 4

/* What a process may have read in a window. Updates are rare, but may follow each other
 * closely. */
#define CONTEXT_WINDOW_NS (5ULL * 1000 * 1000 * 1000)
#define CONTEXTS_IN_WINDOW 5

static __always_inline enum context_read read_header(__u64 at, struct context_header *h)
{
	if (bpf_probe_read_user(h, sizeof(*h), (void *)at))
		return CONTEXT_UNREADABLE;
	if (h->signature != *(__u64 *)CONTEXT_SIGNATURE || h->version != CONTEXT_VERSION)
		return CONTEXT_MALFORMED;
	return h->published_at ? CONTEXT_READ : CONTEXT_CHANGING;
}

static __always_inline enum context_read read_payload(const struct context_header *h, __u64 at,
						      struct process_context *c)
{
	__u64 size = h->payload_size, published_at;

	barrier_var(size);
	if (size > PROCESS_CONTEXT_MAX)
		size = PROCESS_CONTEXT_MAX;
	if (size && bpf_probe_read_user(c->payload, size, (void *)h->payload))
		return CONTEXT_UNREADABLE;
	if (bpf_probe_read_user(&published_at, sizeof(published_at),
				(void *)(at + offsetof(struct context_header, published_at))))
		return CONTEXT_UNREADABLE;
	return published_at == h->published_at ? CONTEXT_READ : CONTEXT_CHANGING;
}

/* Reads the context of the current process, whose header is at that address, and sends
 * it. What could not be read is sent too: the reader discharges the owner when the space in
 * the ring buffer is free again. */
__noinline int send_process_context(__u64 at, __u32 owner)
{
	struct process_context *c;
	struct context_header h;
	enum context_read result;

	result = read_header(at, &h);
	if (result != CONTEXT_READ)
		return result;
	if (!charge(TABLE_CONTEXTS, owner))
		return CONTEXT_RING_FULL;
	c = bpf_ringbuf_reserve(&process_contexts, sizeof(*c), 0);
	if (!c) {
		discharge(TABLE_CONTEXTS, owner);
		return CONTEXT_RING_FULL;
	}
	result = read_payload(&h, at, c);
	c->process = key_of_process((void *)bpf_get_current_task());
	c->size = h.payload_size;
	c->owner = owner;
	c->unread = result != CONTEXT_READ;
	bpf_ringbuf_submit(c, 0);
	return result;
}

/* Whether a process may have its context read now. */
static __always_inline bool may_read_context(const struct process_key *process)
{
	struct context_budget *b = bpf_map_lookup_elem(&context_budgets, &process->pid);
	struct context_budget fresh = { .start = process->start, .reads = 1 };
	__u64 now = bpf_ktime_get_ns();

	if (!b || b->start != process->start) {
		fresh.window = now;
		bpf_map_update_elem(&context_budgets, &process->pid, &fresh, BPF_ANY);
		return true;
	}
	if (now - b->window > CONTEXT_WINDOW_NS) {
		b->window = now;
		b->reads = 0;
	}
	if (b->reads >= CONTEXTS_IN_WINDOW)
		return false;
	b->reads++;
	return true;
}

static __always_inline void count_unread(enum context_read result)
{
	if (result == CONTEXT_UNREADABLE)
		__sync_fetch_and_add(&process_contexts_unread.unreadable, 1);
	else if (result == CONTEXT_CHANGING)
		__sync_fetch_and_add(&process_contexts_unread.changing, 1);
	else if (result == CONTEXT_MALFORMED)
		__sync_fetch_and_add(&process_contexts_unread.malformed, 1);
	else if (result == CONTEXT_RING_FULL)
		__sync_fetch_and_add(&process_contexts_unread.ring_full, 1);
}

/* Leaves a context to a later call of the process. */
static __always_inline void await_context(const struct process_key *process, __u64 at,
					  __u32 attempts, __u32 owner)
{
	struct awaited_context later = {
		.start = process->start,
		.at = at,
		.exec_id = process->exec_id,
		.attempts = attempts,
		.owner = owner,
	};

	if (!charge(TABLE_AWAITED, owner))
		__sync_fetch_and_add(&process_contexts_unread.no_space, 1);
	else if (bpf_map_update_elem(&awaited_contexts, &process->pid, &later, BPF_NOEXIST))
		discharge(TABLE_AWAITED, owner); /* another thread was first */
}

/* Makes the element of the current process. Nothing deletes it meanwhile: the next image and
 * the exit of the process wait for this thread. */
static __always_inline bool add_names(__u32 pid, __u32 owner)
{
	struct published_names *names;

	if (!charge(TABLE_NAMES, owner))
		return false;
	if (bpf_map_update_elem(&published_names, &pid, (void *)&no_names, BPF_NOEXIST)) {
		discharge(TABLE_NAMES, owner);
		return bpf_map_lookup_elem(&published_names, &pid); /* of another thread */
	}
	names = bpf_map_lookup_elem(&published_names, &pid);
	if (names)
		names->owner = owner;
	return true;
}

/* Reads a context now or later. Only what has an element in published_names is sent, so
 * that user space can name a process as long as it runs, and none that has ended: the
 * elements are made here, and deleted at the exit. */
static __always_inline void take_process_context(const struct process_key *process, __u64 at,
						 __u32 attempts, __u32 owner)
{
	enum context_read result;

	if (!bpf_map_lookup_elem(&published_names, &process->pid) &&
	    !add_names(process->pid, owner)) {
		__sync_fetch_and_add(&process_contexts_unread.no_space, 1);
		return;
	}
	if (!may_read_context(process)) {
		await_context(process, at, attempts, owner);
		return;
	}
	result = send_process_context(at, owner);
	if (result == CONTEXT_READ)
		return;
	if (result != CONTEXT_MALFORMED && attempts + 1 < CONTEXT_ATTEMPTS)
		await_context(process, at, attempts + 1, owner);
	else
		count_unread(result);
}

/* A program has published its context, or changed it. */
__noinline int context_published(__u64 at, __u32 owner)
{
	struct process_key process = key_of_process((void *)bpf_get_current_task());

	/* First: what another thread leaves to later after this one has read must stay. */
	delete_shared(awaited_contexts, TABLE_AWAITED, process.pid);
	take_process_context(&process, at, 0, owner);
	return 0;
}

/* Reads the context of the current process that was left to later. */
__noinline int read_awaited_context(__u32 owner)
{
	struct process_key process = key_of_process((void *)bpf_get_current_task());
	struct awaited_context *found, awaited;

	found = bpf_map_lookup_elem(&awaited_contexts, &process.pid);
	if (!found)
		return 0;
	awaited = *found;
	delete_shared(awaited_contexts, TABLE_AWAITED, process.pid);
	if (awaited.start == process.start && awaited.exec_id == process.exec_id)
		take_process_context(&process, awaited.at, awaited.attempts, owner);
	return 0;
}

static __always_inline void forget_process_context(__u32 pid)
{
	delete_shared(published_names, TABLE_NAMES, pid);
	delete_shared(awaited_contexts, TABLE_AWAITED, pid);
}

/* True if the names of the process are others than when the group of the thread was
 * found. */
static __noinline bool renew_names(struct thread_state *t)
{
	const struct published_names *n;
	__u32 before = t->names;

	if (!process_contexts_enabled)
		return false;
	n = bpf_map_lookup_elem(&published_names, &t->process.pid);
	t->names = 0;
	if (n && n->start == t->process.start && n->exec_id == t->process.exec_id)
		t->names = READ_ONCE(n->version);
	return t->names != before;
}

#endif
