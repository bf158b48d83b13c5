/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every kernel object that outlives a call. Sizes that depend on the
 * configuration are set by user space before loading.
 */
#ifndef GETSOCKOPT_MAPS_H
#define GETSOCKOPT_MAPS_H

enum call_phase {
	PHASE_NONE = 0,
	PHASE_RUNNING,
	PHASE_ACCOUNTED, /* counted as what it is already: its return is no surprise */
};

/* A call between its entry and its return. */
struct running_call {
	__u64 start;
	__u64 value;  /* user pointers, as passed */
	__u64 length;
	__s32 fd;
	__s32 level;
	__s32 option;
	__u32 length_in;
	__u32 flags; /* enum call_flags */
	__u8 entry;
	__u8 phase;
	__u16 reserved;
};

/* What the program's memory held when the call returned, as far as it was read. */
struct returned {
	__u32 first;  /* four bytes of the value */
	__u32 length; /* *optlen, which io_uring returns instead */
	__u8 first_known;
	__u8 length_known;
	__u16 reserved;
	__u32 reserved2;
};

/* Who made a call. */
struct origin {
	struct process_key process;
	__u32 tid;
	__u32 group;
	char comm[COMM_LENGTH];
};

#define UNKNOWN_RULE (~0U)

/* The series a thread's last call was counted in: most repeat themselves. */
struct slot_cache {
	struct series_key key;
	__u32 slot;      /* 0: none */
	__u32 copy_rule; /* of the key's option; UNKNOWN_RULE until it was looked up */
};

/* The beginning of a sock, see socket.h. */
#define SOCK_BYTES_MAX 128
struct sock_bytes {
	__u8 common[SOCK_BYTES_MAX];
};

/* What is known of a thread's process, and its call in progress. Only the
 * thread itself, inside its own system call, reads or writes it. */
struct thread {
	struct running_call call;
	struct returned memory; /* here, so that the verifier need not follow it */
	struct process_key process;
	__u64 task_start; /* tells a reused thread id when threads are kept by id */
	__u32 group;
	__u8 process_emitted; /* the process record is in the ring */
	__u8 excluded;  /* the process is not selected */
	__u16 reserved;
	struct slot_cache cache;
	struct sock_bytes socket; /* here, because the stack must hold all else */
};

struct process {
	__u64 start;
	__u32 exec_id;
	__u32 group;
	__u8 process_emitted;
	__u8 excluded;
	__u16 counted; /* enum process_flags that identity_counters has */
	__u32 reserved;
};

/* What a request of io_uring is known by. The kernel reuses the memory of a request
 * for the next one, so its address alone says nothing. */
struct uring_identity {
	__u64 ring;      /* struct io_ring_ctx */
	__u64 submitter; /* req->tctx: struct io_uring_task of the thread that submitted it */
	__u64 user_data;
};

/* A getsockopt request of io_uring, from its submission to its end. */
struct uring_request {
	struct running_call call;
	struct origin origin;
	__u64 request; /* struct io_kiocb; 0: none */
	struct uring_identity identity;
	__u64 task;      /* struct task_struct of the submitter */
	__u32 owner;     /* index of deferred_by_owner */
	__u8 process_emitted;  /* the process record is in the ring */
	__u8 nonblocking; /* an attempt: the kernel repeats it if it ends with EAGAIN */
	__u16 reserved;
	__u32 claimed; /* somebody ends it */
	__u32 reserved2;
};

/* What a thread does through io_uring. Only the thread itself reads or writes it. */
struct uring_thread {
	struct uring_request running; /* the request that it runs now */
	__u8 deferred;                /* it has ever submitted one that runs later */
};

/* What a rule of selection is about; a mask. */
enum subject {
	SUBJECT_OPTION = 1 << 0,
	SUBJECT_USER = 1 << 1,
	SUBJECT_EXECUTABLE = 1 << 2,
	SUBJECT_CONTAINER = 1 << 3,
};

enum rule {
	RULE_INCLUDE = 1 << 0,
	RULE_EXCLUDE = 1 << 1,
};

/* A glob as a table: place i is reached when i of its characters matched. */
struct pattern {
	__u64 next[256]; /* by character: the places that accept it */
	__u64 stars;     /* the places that a star follows */
	__u64 accept;    /* the last place */
	__u32 subject;
	__u32 rule;
};

struct option_key {
	__s32 level;
	__s32 option;
	__u32 any_option;
};

/* A series with its key, so that user space reads one map. */
struct series_slot {
	struct series_key key;
	__u64 check; /* key_hash(key), once key holds; 0: free */
	struct series_value value;
};

/* Set by user space before loading; the verifier removes what is off. */
const volatile __u8 task_storage_available = 1; /* tracing programs: 5.12 */
const volatile __u8 task_registers_available = 1; /* bpf_task_pt_regs: 5.15 */
const volatile __u8 casts_available;            /* bpf_rdonly_cast: 6.2 */
const volatile __u8 spans_enabled = 1;
const volatile __u8 values_enabled = 1;
const volatile __u32 value_max = 512;
const volatile __u64 wake_at = 512 * 1024; /* bytes of the ring, a power of two */
const volatile __u8 group_by = GROUP_BY_SERVICE;
const volatile __u8 keep_failed = 1;
const volatile __u64 keep_slower = ~0ULL; /* ns */
const volatile __u8 uring_return_seen;        /* a program runs when io_uring_enter returns, */
const volatile __u8 uring_return_seen_compat; /* also to a 32-bit program */
const volatile __u32 receiver_pid; /* right in the initial pid namespace; the proof call corrects it */

/* What rules there are about, and of which subjects only the included are wanted. */
const volatile __u32 ruled_subjects;
const volatile __u32 included_subjects;
const volatile __u32 pattern_count;

/* level and option of the proof call, random numbers no program uses */
const volatile __s32 selftest_level;
const volatile __s32 selftest_option;

const volatile __u64 bucket_uppers[256];
const volatile __u8 bucket_first[1024]; /* see histogram.h */

/* What a time namespace adds to the kernel's clocks, ns. */
struct clock_offsets {
	__s64 monotonic;
	__s64 boottime;
};

/* What user space says of a class's sampling, see sampling.h. */
struct sampler {
	__u64 threshold; /* 56 bits */
	__u64 limit;     /* of calls kept, after which the kernel itself halves what it keeps */
	__u64 step;      /* and halves it again after so many more */
};

/* The verifier cannot know that it stays zero. Since 6.15 it traces a constant
 * key of an array map back to where it came from, and fails with EFAULT (seen
 * on 6.18) when that is a loop's counter. */
__u32 always_zero;

/* What user space reads and writes while the programs run. */
__u32 selftest_pid; /* who made the proof call, 0 until it came through */
__u32 selftest_returned;
struct clock_offsets clock_offsets; /* of the receiver, once the proof call came through */
__u32 both_attached; /* entry and return are seen: a return without an entry is news */
__u64 uring_running;  /* threads that run a request of io_uring, see iouring_events.h */
__u64 uring_deferred; /* entries of deferred_requests */

/* Entries of deferred_requests by hashes of their owner and of their process, see
 * may_defer. */
#define DEFERRED_OWNERS 256
#define DEFERRED_PROCESSES 1024
__u64 deferred_by_owner[DEFERRED_OWNERS];
__u64 deferred_by_process[DEFERRED_PROCESSES];

/* The same by rings: an overflow looks for none where there is none. */
#define DEFERRED_RING_BITS 10
__u64 deferred_by_ring[1 << DEFERRED_RING_BITS];

/* By class, see sampling.h. Until user space says otherwise, keep all. */
struct sampler samplers[2] = {
	{ .limit = ~0ULL, .step = 1 },
	{ .limit = ~0ULL, .step = 1 },
};
__u64 calls_kept[2];

struct call_counters counters[COUNTER_SLOTS];
struct identity_counters identities;

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/* Takes over for task storage: before 5.12, and when its per-CPU lock is busy. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct thread);
} threads_by_id SEC(".maps");

/* A cache: an evicted process is looked at again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct group_key);
	__type(value, __u32);
} groups SEC(".maps");

/* The numbers that no group has, filled by user space: all but GROUP_OVERFLOW. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1024);
	__type(value, __u32);
} free_groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2000);
	__type(key, struct series_key);
	__type(value, __u32);
} series_index SEC(".maps");

/* Where a series is likely to be, by its check: a call that is not in the series
 * of its thread's last one then needs no look into the index. */
#define HINT_BITS 14
__u32 hints[1 << HINT_BITS];

/* The slots that no series uses, filled by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 2000);
	__type(value, __u32);
} free_slots SEC(".maps");

/* Slots 0 and 1 take what finds the table full: calls, and calls that handed
 * out a pending error. */
#define OVERFLOW_SLOTS 2
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2000 + OVERFLOW_SLOTS);
	__type(key, __u32);
	__type(value, struct series_slot);
} series SEC(".maps");

/* Nothing else makes the compiler describe it to bpf2go. */
const struct call_record *described __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} events SEC(".maps");

/* Options whose bytes may leave the kernel, and how many. Deny by default. */
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
	__type(value, struct pattern);
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

/* Requests of io_uring that run later, or elsewhere. */
#define DEFERRED_MAX 4096
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DEFERRED_MAX);
	__type(key, __u64); /* struct io_kiocb */
	__type(value, struct uring_request);
} deferred_requests SEC(".maps");

/* Room to look at a process, too large for the stack. A program takes one and
 * gives it back, so that they need not grow with the CPUs. Besides, the verifier
 * does not follow what lies in a map, which keeps its paths few. */
#define COMPONENT_MAX 256 /* NAME_MAX + 1 */
#define SCRATCH_DATA 8192
#define SCRATCH_SLACK 4096 /* the longest single read */
struct scratch {
	struct process_record record;
	__u8 data[SCRATCH_DATA + SCRATCH_SLACK];
	struct group_key group;
	/* The loops' state, see process.h. */
	__u64 at;  /* where in the environment */
	__u64 end;
	__u64 dentry; /* where in the executable's path */
	__u64 mount;
	__u64 root_dentry; /* of the process */
	__u64 root_mount;
	__u64 node; /* where in the cgroup hierarchies */
	__u64 link;
	__u64 head;
	__u64 places; /* where in a pattern */
	__u32 offset; /* bytes of data in use */
	__u32 name_at; /* where in data OTEL_SERVICE_NAME's value is, 0: unset */
	__u32 attributes_at;
	__u32 comma; /* the last one in OTEL_RESOURCE_ATTRIBUTES */
	__u32 within; /* the next bytes go on with a string that was too long: 2 when it is kept */
	__u32 distrusted; /* so many strings may be what is left of others */
	__u32 assigned; /* a string was a variable */
	__u32 state;
	__u32 matched;
	__u32 candidates;
	__u32 written;
	/* The search for the container, see container.h. */
	__u32 cgroup_at; /* where in data the path begins that is kept, 0: none */
	__u32 keeping;
	__u32 depth;     /* components seen of a path */
	__u32 candidate; /* enum container_candidate */
	__u32 candidate_depth;
	__u32 monitor;
	__u8 component[COMPONENT_MAX + CONTAINER_ID_LENGTH];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch_buffers SEC(".maps");

/* The scratch_buffers that nobody uses, filled by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, __u32);
} free_scratch SEC(".maps");

/* The reader looks by itself a few times a second. It is woken by the record
 * that begins another eighth of the ring: waking it for each would cost more
 * than making one. By where records go, and not by how many wait: their number
 * may go up and down across a mark with every record. The record lies between
 * the two positions, with those that others made meanwhile. */
static __always_inline __u64 wakeup(__u64 before, __u64 after)
{
	return (before ^ after) & -wake_at ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

#define COUNT(what) \
	__sync_fetch_and_add(&counters[bpf_get_smp_processor_id() % COUNTER_SLOTS].what, 1)

#endif
