/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps and global variables. User space sets the sizes that depend on the configuration
 * before it loads the programs.
 */
#ifndef GETSOCKOPT_MAPS_H
#define GETSOCKOPT_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "records.h"
#include "settings.h"
#include "types.h"

/* The offsets of a time namespace from the kernel's clocks, ns. */
struct clock_offsets {
	__s64 monotonic;
	__s64 boottime;
};

/* The verifier does not know that it stays zero. Since 6.15 the verifier traces a
 * constant key of an array map back to its origin, and fails with EFAULT (observed
 * on 6.18) when that is a loop's counter. */
__u32 always_zero;

/* What user space reads and writes while the programs run. */
__u32 selftest_pid;      /* of the process that made the self-test, 0 before its entry */
__u32 selftest_returned; /* its return was observed */
__u32 both_attached;     /* a return without an entry counts */
__u64 uring_running;     /* threads that run a request of io_uring, see iouring_events.h */
__u64 uring_deferred;    /* entries of deferred_requests */
struct clock_offsets clock_offsets; /* of the receiver, set before selftest_pid */

/* Entries of deferred_requests by hashes of their owner and of their process, see
 * may_defer. */
#define DEFERRED_OWNER_BITS 8
#define DEFERRED_OWNERS (1 << DEFERRED_OWNER_BITS)
#define DEFERRED_PROCESSES 1024
__u64 deferred_by_owner[DEFERRED_OWNERS];
__u64 deferred_by_process[DEFERRED_PROCESSES];

/* The same by rings: an overflow needs no search where there is none. */
#define DEFERRED_RING_BITS 10
__u64 deferred_by_ring[1 << DEFERRED_RING_BITS];

/* In sections of their own, which user space maps. */
struct shares shares SEC(".data.shares");

#define CHECKS_MAX 64
struct process_check process_checks[CHECKS_MAX] SEC(".data.checks");

struct table_use table_uses[SHARED_TABLES] SEC(".data.tables");

struct call_counters counters[COUNTER_SLOTS];
struct identity_counters identities;
struct parent_counters parents_unread;
struct process_context_counters process_contexts_unread;

/* A template: its elements are too large for the stack. */
const volatile struct published_names no_names;

/* Changes with the publishers, never 0. A thread whose process is none looks again
 * when it has changed. */
__u32 contexts_version = 1;
__u32 obi_present; /* obi_contexts has a map */

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread_state);
} threads SEC(".maps");

/* Replaces task storage before 5.12, and when its per-CPU lock is busy. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct thread_state);
} threads_by_id SEC(".maps");

/* A cache: an evicted process is identified again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct process_entry);
} processes SEC(".maps");

/* Processes that publish their active span, by pid. */
#define PUBLISHERS_MAX 2048
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PUBLISHERS_MAX);
	__type(key, __u32);
	__type(value, struct publisher);
} publishers SEC(".maps");

/* The names of processes that publish their process context, by pid, written by user
 * space. Only a running process has an element, see take_process_context. */
#define PUBLISHED_NAMES_MAX 512
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PUBLISHED_NAMES_MAX);
	__type(key, __u32);
	__type(value, struct published_names);
} published_names SEC(".maps");

/* Contexts that are to be read in the next call of their process, by pid. User space adds
 * those that were published before the programs ran. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PUBLISHED_NAMES_MAX);
	__type(key, __u32);
	__type(value, struct awaited_context);
} awaited_contexts SEC(".maps");

/* How often the context of a process was read. */
struct context_budget {
	__u64 start;  /* of the process */
	__u64 window; /* when the window began */
	__u32 reads;  /* in the window */
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PUBLISHED_NAMES_MAX);
	__type(key, __u32);
	__type(value, struct context_budget);
} context_budgets SEC(".maps");

/* Process contexts on the way to user space, some 30. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 128 * 1024);
} process_contexts SEC(".maps");

/* The map in which OpenTelemetry's eBPF instrumentation (OBI) publishes the active spans
 * of the threads that it observes. User space puts it here when it appears. A value is a
 * trace id and a span id. */
#define OBI_IDS 3
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_LRU_HASH);
			__uint(max_entries, 1); /* may differ (5.10) */
			__type(key, __u64);     /* bpf_get_current_pid_tgid() */
			__type(value, __u64[OBI_IDS]);
		});
} obi_contexts SEC(".maps");

/* Processes that may have become publishers, for user space to look at: one notice a
 * process, and those that find no space are left to a later look. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct process_key);
} notices SEC(".maps");

/* Wakes user space for notices. It has a record unless user space has taken the notices
 * before: the kernel wakes for the first only. When it is full, one is waiting. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} noticed SEC(".maps");

/* Wakes the control loop of user space. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} control_wakeups SEC(".maps");

/*
 * Elements of these tables are reused as soon as they are deleted, also while a program
 * reads one that it has found: known_group(), known_owner() and indexed_slot() notice. User
 * space deletes, and waits for running programs before it deletes again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct group_key);
	__type(value, struct group_value);
} groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u32); /* index in owner_states */
} owners SEC(".maps");

/* A slot in the lower SLOT_BITS, above it those bits of the key's hash. */
#define SLOT_BITS 20
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2000);
	__type(key, struct series_key);
	__type(value, __u64);
} series_index SEC(".maps");

/* The freelists, filled by user space: numbers of groups in the order of their release,
 * so that generations last long; indices of owners; slots, the last that was freed first,
 * so that those in use lie close together. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1024);
	__type(value, __u32);
} free_groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1024);
	__type(value, __u32);
} free_owners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 2000);
	__type(value, __u32);
} free_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct group_state);
} group_states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct owner_state);
} owner_states SEC(".maps");

/* By index of groups, and of owners. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct ring_use);
} ring_uses SEC(".maps");

/* What has a name in user space; other levels and options are counted as CODE_OTHER. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct option_key);
	__type(value, __u8);
} named_options SEC(".maps");

/* The probable slot of a series, less first_slot, by its hash. A call in another series than
 * its thread's last one then needs no lookup in the index. Any CPU writes any hint. */
#define HINT_BITS 16
__u32 hints[1 << HINT_BITS];

/* The counts of series by CPUs: at i, those of the slot first_slot + i for the first CPUs,
 * after series_limit of them those for others. A call writes to nothing else, so that CPUs
 * contend less for the counts of one series, and those of many lie close together. */
#define SHARDS_MAX 8
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2000);
	__type(key, __u32);
	__type(value, struct series_counts);
} series_counts SEC(".maps");

/* By slot less first_slot. Apart from the slots, of which a CPU's cache holds a tenth as many. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2000);
	__type(key, __u32);
	__type(value, struct slow_counts);
} slow_counts SEC(".maps");

/* First the slots of overflow: those of a group at twice its index, for the calls that
 * return a pending error the next one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2000);
	__type(key, __u32);
	__type(value, struct series_slot);
} series SEC(".maps");

/* The peer of a series of one peer, by slot less first_slot, written after its key: a reader
 * that finds a peer of the hash in the key has a whole peer. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct socket_endpoint);
} series_peers SEC(".maps");

/* Put the types into the BTF from which bpf2go makes Go. */
const struct call_record *described __attribute__((unused));
const struct process_context *described_context __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} events SEC(".maps");

/* How many bytes of an option's value may be copied to user space: by default none. */
struct copy_rule_key {
	__s32 level;
	__s32 option;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct copy_rule_key);
	__type(value, __u32);
} copy_rules SEC(".maps");

/* The rules of selection. */
#define PATTERNS_MAX 256
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct glob_pattern);
} patterns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct option_key);
	__type(value, __u32);
} option_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32); /* uid */
	__type(value, __u32);
} user_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct uring_thread);
} uring_threads SEC(".maps");

/* Deferred requests of io_uring. */
#define DEFERRED_MAX 4096
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DEFERRED_MAX);
	__type(key, __u64); /* struct io_kiocb */
	__type(value, struct uring_request);
} deferred_requests SEC(".maps");

/* Since 6.16 a push or a pop fails with EBUSY if it does not get the list's lock within
 * 250 ms. */
#define PUSH_ATTEMPTS 4

/* Returns an element to a freelist. */
#define give_back(list, element)                                          \
	({                                                                \
		for (int attempt = 0; attempt < PUSH_ATTEMPTS; attempt++) \
			if (bpf_map_push_elem(list, element, 0) == 0)     \
				break;                                    \
	})

#define counter_inc(what) \
	__sync_fetch_and_add(&counters[bpf_get_smp_processor_id() % COUNTER_SLOTS].what, 1)

#endif
