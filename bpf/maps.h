/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps and global variables, and the types in them. User space sets the sizes that
 * depend on the configuration before it loads the programs.
 */
#ifndef GETSOCKOPT_MAPS_H
#define GETSOCKOPT_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "records.h"

enum call_phase {
	PHASE_NONE = 0,
	PHASE_RUNNING,
	PHASE_ACCOUNTED, /* already counted: its return counts nothing more */
};

/* A call between its entry and its return. */
struct running_call {
	__u64 start;
	__u64 value; /* user pointers, as passed */
	__u64 length;
	__s32 fd;
	__s32 level;
	__s32 option;
	__u32 length_in;
	__u32 flags; /* enum call_flags */
	__u8 entry;
	__u8 phase;
};

/* What the call wrote to the program's memory, as far as it was read. */
struct user_result {
	__u32 first;  /* four bytes of the value */
	__u32 length; /* *optlen, which io_uring returns instead */
	__u8 first_known;
	__u8 length_known;
	__u8 reserved[6]; /* to whole words, which clang zeroes with fewer instructions */
};

/* Who made a call. */
struct origin {
	struct process_key process;
	__u32 tid;
	__u32 group;
	char comm[COMM_LENGTH];
};

#define UNKNOWN_RULE (~0U)

/* The slot of a thread's last call: most threads repeat their calls. The key in the slot
 * tells whether it is that of a call. */
struct slot_cache {
	__u32 slot;
	__u32 copy_rule; /* of the option in the slot; UNKNOWN_RULE before its lookup */
};

/* The beginning of a sock, see socket.h. */
#define SOCK_BYTES_MAX 128
struct sock_bytes {
	__u8 common[SOCK_BYTES_MAX];
};

/* A thread's process, and its call in progress. Only the thread itself reads or
 * writes it, inside its own system call. */
struct thread_state {
	struct running_call call;
	struct user_result out; /* here, so that the verifier does not track its values */
	struct process_key process;
	__u64 task_start; /* distinguishes a reused id in threads_by_id */
	__u32 group;
	__u32 epoch;          /* when the group was that of the process */
	__u8 process_emitted; /* the process record is in the ring buffer */
	__u8 excluded;        /* the process is not selected */
	__u32 names;          /* the version of the published names that are in the group */
	__u32 no_publisher;   /* the contexts_version as of which the process is none */
	struct slot_cache cache;
	__u64 owner;              /* of the process, see owner.h */
	struct sock_bytes socket; /* too large for the stack */
};

struct process_entry {
	__u64 start;
	__u64 owner; /* see owner.h */
	__u64 node;  /* of the cgroup that named container and unit, 0: the root */
	__u64 node_id;
	__u32 exec_id;
	__u32 group;
	__u64 pid_struct; /* see process_runs */
	__u32 epoch;      /* when it was identified */
	__u8 process_emitted;
	__u8 excluded;
	__u16 counted; /* enum process_flags, those already in identity_counters */
	__u32 names;   /* as in thread_state */
	__u32 reserved;
};

/* The identity of a request of io_uring. Its address is not enough: the kernel reuses
 * the memory of a request for the next. */
struct uring_identity {
	__u64 ring;      /* struct io_ring_ctx */
	__u64 submitter; /* struct io_uring_task of the thread that submitted it */
	__u64 user_data;
};

/* A getsockopt request of io_uring, from its submission to its end. */
struct uring_request {
	struct running_call call;
	struct origin origin;
	__u64 request; /* struct io_kiocb; 0: none */
	struct uring_identity identity;
	__u64 task;           /* struct task_struct of the submitter */
	__u32 owner;          /* index of deferred_by_owner */
	__u8 process_emitted; /* the process record is in the ring buffer */
	__u8 nonblocking;     /* an attempt: the kernel repeats it if it returns EAGAIN */
	__u32 claimed;        /* set by the program that ends it */
};

/* A thread's use of io_uring. Only the thread itself reads or writes it. */
struct uring_thread {
	struct uring_request running; /* the request that runs now */
	__u8 deferred;                /* it has submitted a deferred request */
};

/* What a rule of the selection applies to; a mask. */
enum subject {
	SUBJECT_OPTION = 1 << 0,
	SUBJECT_USER = 1 << 1,
	SUBJECT_EXECUTABLE = 1 << 2,
	SUBJECT_CONTAINER = 1 << 3,
	SUBJECT_UNIT = 1 << 4,
};

enum rule {
	RULE_INCLUDE = 1 << 0,
	RULE_EXCLUDE = 1 << 1,
};

/* A glob as a table. In a mask of states, bit i is set when i of its characters
 * matched. */
struct glob_pattern {
	__u64 next[256]; /* by character: the states that accept it */
	__u64 stars;     /* the states that a star follows */
	__u64 accept;    /* the last state */
	__u32 subject;
	__u32 rule;
};

struct option_key {
	__s32 level;
	__s32 option;
	__u32 any_option;
};

/* A process that user space asks about. */
struct process_check {
	__u64 pid_struct; /* see process_runs */
	__u64 start;
	__u32 pid;
	__u32 ended; /* the answer */
};

/* User space sets these before loading. The verifier then removes the code that is
 * off. */
const volatile __u8 task_storage_available = 1;   /* in tracing programs: 5.12 */
const volatile __u8 task_registers_available = 1; /* bpf_task_pt_regs: 5.15 */
const volatile __u8 casts_available;              /* bpf_rdonly_cast: 6.2 */
const volatile __u8 spans_enabled = 1;
const volatile __u8 values_enabled = 1;
const volatile __u8 parents_enabled = 1;
const volatile __u8 process_contexts_enabled = 1;
const volatile __u32 value_max = 512;
const volatile __u64 wake_at = 512 * 1024; /* bytes of the ring buffer, a power of two */
const volatile __u8 group_by = GROUP_BY_SERVICE;
const volatile __u8 name_fallbacks[FALLBACKS_MAX] = { FALLBACK_UNIT, FALLBACK_EXECUTABLE };
const volatile __u64 hash_seed; /* of location_hash: random, so that no program finds equal ones */
const volatile __u8 keep_failed = 1;
const volatile __u64 keep_slower = ~0ULL; /* ns */
const volatile __u64 ratio_threshold;     /* 56 bits, of calls that always_keep does not lift */
const volatile __u8 spans_limited;        /* spans have a target rate */
const volatile __u32 first_slot;          /* of series; those before are of overflow */
/* A program runs when io_uring_enter returns, also to a 32-bit program. */
const volatile __u8 uring_return_seen;
const volatile __u8 uring_return_seen_compat;
/* Correct in the initial pid namespace; the self-test sets selftest_pid elsewhere. */
const volatile __u32 receiver_pid;

/* The subjects that have rules, and those of which only the included are selected. */
const volatile __u32 ruled_subjects;
const volatile __u32 included_subjects;
const volatile __u32 pattern_count;

/* Level and option of the self-test: random numbers that no program uses. */
const volatile __s32 selftest_level;
const volatile __s32 selftest_option;

/* See histogram.h. A bucket is a __u8, so any is an index of bucket_uppers. */
#define OCTAVE_BITS 4
#define OCTAVE_STEPS (1 << OCTAVE_BITS)
#define DURATION_STEPS (64 * OCTAVE_STEPS)
const volatile __u64 bucket_uppers[256];
const volatile __u8 bucket_first[DURATION_STEPS];

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

/*
 * Elements of these tables are reused as soon as they are deleted, also while a program
 * reads one that it has found: known_group(), known_owner() and indexed_slot() notice. User space deletes, and
 * waits for running programs before it deletes again.
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

/* What has a name in user space; other levels and options are counted as CODE_OTHER. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct option_key);
	__type(value, __u8);
} named_options SEC(".maps");

/* The probable slot of a series, by its hash. A call in another series than its
 * thread's last one then needs no lookup in the index. Any CPU writes any hint. */
#define HINT_BITS 14
__u32 hints[1 << HINT_BITS];

/* First the slots of overflow: those of a group at twice its index, for the calls that
 * return a pending error the next one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2000);
	__type(key, __u32);
	__type(value, struct series_slot);
} series SEC(".maps");

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

/* Scratch buffers to identify a process. A program borrows one, so that their number
 * does not grow with the CPUs. The verifier does not track values in a map, which
 * also keeps its paths few. */
#define COMPONENT_MAX 256 /* NAME_MAX + 1 */
#define SCRATCH_DATA 8192
#define SCRATCH_SLACK 4096 /* the longest single read */
/* A systemd unit. The name of its service is the beginning of its own. */
struct systemd_unit {
	__u32 service_length; /* 0: no unit */
	char name[UNIT_NAME_LENGTH];
};

/* The search for a span's parent, see context.h. */
struct go_string {
	__u64 at;
	__u64 length;
};

/* The labels of one convention. */
struct go_ids {
	struct go_string trace;
	struct go_string span;
};

struct go_label {
	struct go_string key;
	struct go_string value;
};

#define TRACE_DIGITS 32
#define SPAN_DIGITS 16
#define SPAN_DECIMALS 20 /* of 2^64 - 1 */

/* The beginning of a thread context, as OTEP 4947 lays it out. */
struct thread_context {
	__u8 trace[16];
	__u8 span[8];
	__u8 valid;
	__u8 flags;
};

/* What the dynamic linker wrote, see context_thread.h. */
struct tls_slot {
	__u64 first;
	__u64 second;
};

struct tls_index {
	__u64 module;
	__u64 offset;
	__u64 generation; /* of glibc's descriptors: from which on the entry is the module's */
};

struct tls_vector {
	__u64 entries;
	__u64 unused;
	__u64 generation; /* of glibc */
};

struct context_search {
	struct publisher by;
	struct span_parent parent;
	/* In the thread context: */
	struct thread_context record __attribute__((aligned(8)));
	struct tls_slot slot;
	struct tls_index index;
	struct tls_vector vector;
	__u64 at; /* of the variable */
	/* In the labels of Go: */
	struct go_ids underscored; /* trace_id and span_id, of otel-profiling-go */
	struct go_ids spaced;      /* trace id and span id, of dd-trace-go */
	struct go_string labels;   /* a slice: its address and its length */
	struct go_label label;
	__u64 key; /* eight bytes of a label's */
	__u64 m;   /* the thread's, and what is read of it */
	__u64 of_m;
	__u8 trace[TRACE_DIGITS];
	__u8 span[SPAN_DECIMALS + 4];
};

struct scratch {
	struct process_record record;
	__u8 data[SCRATCH_DATA + SCRATCH_SLACK];
	struct group_key group;
	struct group_value described; /* what the group's key does not contain */
	/* What the cgroups of a process name, see cgroup.h. */
	struct systemd_unit unit;
	__u64 owner;
	/* The state of the loops, see scratch.h. In the environment: */
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
	/* The scan of OTEL_RESOURCE_ATTRIBUTES, see group.h. */
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

/* The reader polls a few times a second. A record wakes it up only if it begins
 * another eighth of the ring buffer: a wakeup for each would cost more than the
 * record. The watermark is a position, not the amount of unread data, which can cross
 * a mark with every record. The record lies between the two positions, together with
 * those that others wrote meanwhile. */
static __always_inline __u64 wakeup(__u64 before, __u64 after)
{
	return (before ^ after) & -wake_at ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Since 6.16 a push fails if it does not get the list's lock within 250 ms. */
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
