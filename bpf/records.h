/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What crosses from the kernel to user space: the two records of the ring buffer,
 * the keys and values of the maps that user space reads, and the numbers on which
 * both sides must agree. bpf2go turns these types into Go, so the layout is written
 * once.
 *
 * Every struct is laid out without implicit padding, because padding that is
 * copied to user space would carry kernel stack bytes.
 */
#ifndef GETSOCKOPT_RECORDS_H
#define GETSOCKOPT_RECORDS_H

#include <linux/types.h>

/* Raised whenever a layout below changes: a reader rejects other versions. */
#define RECORD_VERSION 4

enum record_kind {
	RECORD_CALL = 1,
	RECORD_PROCESS = 2,
};

/* How a call entered the kernel. */
enum call_entry {
	ENTRY_SYSCALL = 0,
	ENTRY_SYSCALL_COMPAT = 1,
	ENTRY_SOCKETCALL = 2,
	ENTRY_IO_URING = 3,
};

/* Which optional fields of a call_record are set. */
enum call_flags {
	CALL_LENGTH_IN = 1 << 0,        /* *optlen could be read at entry */
	CALL_LENGTH_OUT = 1 << 1,       /* *optlen could be read at return */
	CALL_VALUE = 1 << 2,            /* value holds value_length bytes */
	CALL_VALUE_READ_ERROR = 1 << 3, /* the memory of the value could not be read */
	CALL_SOCKET = 1 << 4,           /* fd is a socket: family, type, state, ... are set */
	CALL_COMPAT = 1 << 5,           /* the caller is a 32-bit program */
	CALL_PENDING_ERROR = 1 << 6,    /* SO_ERROR returned an error: see error */
	CALL_NO_FD = 1 << 7,            /* registered file of io_uring: fd is no descriptor */
};

#define COMM_LENGTH 16
#define UNIX_PATH_LENGTH 108 /* sizeof(sockaddr_un.sun_path), include/uapi/linux/un.h */

/* One process image: the same pid after exec, or reused, is another. */
struct process_key {
	__u64 start;   /* start of the thread group, ns since boot (CLOCK_BOOTTIME) */
	__u32 pid;     /* thread group id in the initial pid namespace */
	__u32 exec_id; /* task_struct.self_exec_id: counts the execs */
};

struct socket_endpoint {
	__u8 address[16]; /* IPv4 in the first four bytes; vsock: the cid */
	__u32 port;       /* host byte order */
	__u16 length;     /* bytes used in address; for Unix of the path that follows */
	__u16 family;     /* of a peer in series_peers; elsewhere it is in the record */
};

/* Where the parent of a span was found, the best source first. */
enum parent_source {
	PARENT_NONE = 0,
	PARENT_THREAD_CONTEXT = 1, /* OTEP 4947 */
	PARENT_GO_LABELS = 2,      /* pprof labels of a Go program */
	PARENT_OBI = 3,            /* the map of OpenTelemetry's eBPF instrumentation */
};

/* The span that was active in the program, as it published it. */
struct span_parent {
	__u8 trace[16]; /* as in a traceparent header */
	__u8 span[8];
	__u8 flags; /* W3C trace flags, 0 from a source that has none */
	__u8 source;
	__u8 reserved[6];
};

/* How each record begins. */
struct record_header {
	__u8 version;
	__u8 kind;
	__u16 owner; /* index in owner_states: it holds the space in the ring buffer */
	__u32 group; /* likewise */
};

/* Everything a span needs that only the kernel knows in time. Followed by
 * local and peer path (2 * UNIX_PATH_LENGTH bytes) when family is AF_UNIX,
 * then by value_length bytes of value, then by bytes without meaning. */
struct call_record {
	struct record_header header;
	__u32 flags;
	__u8 entry;
	__u8 socket_state; /* TCP states of include/net/tcp_states.h */
	__u16 reserved;
	struct process_key process;
	__u64 start;      /* CLOCK_MONOTONIC, ns */
	__u64 duration;   /* ns */
	__u64 randomness; /* 56 bits */
	__u64 threshold;  /* 56 bits: kept because randomness >= threshold */
	__u64 socket_cookie;
	__u32 tid;
	__u32 cpu;
	__s32 fd;
	__s32 level;
	__s32 option;
	__s32 result;
	__u32 length_in;
	__u32 length_out;
	__u32 network_namespace; /* of the socket */
	__s32 error;             /* pending error behind SO_ERROR */
	__u16 family;
	__u16 type;
	__u16 protocol;
	__u16 value_length;
	struct socket_endpoint local;
	struct socket_endpoint peer;
	struct span_parent parent;
	char comm[COMM_LENGTH];
};

enum process_flags {
	/* Not resident, or longer than is searched: user space completes it. */
	PROCESS_ENVIRONMENT_UNAVAILABLE = 1 << 0,
	PROCESS_ENVIRONMENT_OVERWRITTEN = 1 << 1, /* by the program itself, with its title */
	PROCESS_VARIABLE_CUT = 1 << 2,            /* longer than what is kept of it */
	PROCESS_PATH_CUT = 1 << 3,                /* of the executable: left out */
	PROCESS_CGROUP_CUT = 1 << 4,              /* its path is left out */
	PROCESS_ATTRIBUTES_CUT = 1 << 5,          /* the variable that is longer, or one of them */
};

/* In cgroup_hierarchy: the process is at the root of every hierarchy. */
#define NO_HIERARCHY (~0U)

/* 64 hexadecimal digits, without a NUL. */
#define CONTAINER_ID_LENGTH 64

/* A UUID, or the 32 hexadecimal digits of a static pod's, without a NUL. */
#define POD_UID_LENGTH 36

#define UNIT_NAME_LENGTH 256 /* NAME_MAX + 1 */

/* Who called: sent once for each process image, before its first call_record.
 * Followed by four byte strings:
 *   environment: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, as KEY=value,
 *     each ended by a NUL;
 *   executable: its name, then the components of its path, leaf first, each
 *     ended by a NUL;
 *   cgroup: the components of the path in cgroup_hierarchy, leaf first, each
 *     ended by a NUL;
 *   unit: the name of the systemd unit, ended by a NUL. Its first
 *     unit_service_length bytes are the name of the service. */
struct process_record {
	struct record_header header;
	struct process_key process;
	__u32 parent_pid;
	__u32 namespace_pid; /* in the process's own pid namespace */
	__u32 user;          /* effective uid, initial user namespace */
	__u32 real_user;
	__u32 pid_namespace;
	__u32 mount_namespace;
	__u32 network_namespace;
	__u32 cgroup_hierarchy; /* 0 is v2 */
	__u16 environment_length;
	__u16 executable_length;
	__u16 cgroup_length;
	__u16 unit_length;
	char comm[COMM_LENGTH]; /* of the main thread */
	char container[CONTAINER_ID_LENGTH];
	char pod[POD_UID_LENGTH];
	__u16 unit_service_length;
	__u16 flags;
};

/* What a process's calls are counted under. The number of a group is its index in
 * group_states, and above it a generation: user space raises it when it frees the group,
 * so that whoever remembers the number notices. Group 0 takes the calls of processes for
 * which no group is free. */
#define GROUP_OVERFLOW 0
#define GROUP_INDEX_BITS 16
#define GROUP_INDEX(group) ((group) & ((1U << GROUP_INDEX_BITS) - 1))
#define GROUP_NAME_LENGTH 256
#define GROUP_NAMESPACE_LENGTH 128
#define GROUP_INSTANCE_LENGTH 128

/* A mask. */
enum group_by {
	GROUP_BY_SERVICE = 1 << 0,
	GROUP_BY_CONTAINER = 1 << 1,
	GROUP_BY_UNIT = 1 << 2,
	GROUP_BY_PROCESS = 1 << 3,
	GROUP_BY_HOST = 1 << 4, /* alone */
};

/* What names the service of a process that does not name it itself. */
enum name_fallback {
	FALLBACK_NONE = 0,
	FALLBACK_UNIT = 1,
	FALLBACK_EXECUTABLE = 2,
};

#define FALLBACKS_MAX 2

enum group_flags {
	GROUP_FROM_EXECUTABLE = 1 << 0,   /* name is the executable's, not an OTEL_* value */
	GROUP_FROM_SERVICE_NAME = 1 << 1, /* OTEL_SERVICE_NAME: used as it is */
	GROUP_FROM_ATTRIBUTES = 1 << 2,   /* OTEL_RESOURCE_ATTRIBUTES: percent-encoded */
	/* Part of the environment was not read: user space finds the name. */
	GROUP_ENVIRONMENT_UNAVAILABLE = 1 << 3,
	GROUP_FROM_UNIT = 1 << 4,  /* name is that of a systemd unit */
	GROUP_OF_PROCESS = 1 << 5, /* process and pid_struct are set */
	GROUP_OF_HOST = 1 << 6,
	GROUP_OF_SERVICE = 1 << 7,   /* name and name_space are a part of the group */
	GROUP_OF_CONTAINER = 1 << 8, /* container and instance are */
	/* With GROUP_ENVIRONMENT_UNAVAILABLE: the program has published its name, its
	 * name_space, its instance, which come before those of the environment. */
	GROUP_NAME_PUBLISHED = 1 << 9,
	GROUP_NAMESPACE_PUBLISHED = 1 << 10,
	GROUP_INSTANCE_PUBLISHED = 1 << 11,
};

struct group_key {
	/* With GROUP_OF_PROCESS or GROUP_ENVIRONMENT_UNAVAILABLE, otherwise zero. */
	struct process_key process;
	/* With GROUP_OF_PROCESS, the kernel's struct pid: see process_runs. */
	__u64 pid_struct;
	__u64 owner; /* who has it: each owner has its own groups */
	__u32 flags;
	__u32 reserved;
	/* Stands for the location, because Linux 5.10 accepts keys of up to 512 bytes. */
	__u64 location_hash;
	char name[GROUP_NAME_LENGTH];
	char name_space[GROUP_NAMESPACE_LENGTH];
};

/* Where the processes of a group run, as far as calls are grouped by it. */
struct group_location {
	char container[CONTAINER_ID_LENGTH];
	char pod[POD_UID_LENGTH]; /* of the container */
	__u32 reserved;
	char unit[UNIT_NAME_LENGTH];
	char instance[GROUP_INSTANCE_LENGTH]; /* service.instance.id, percent-encoded */
};

struct group_value {
	__u32 group;
	__u32 reserved;
	struct group_location location;
};

/* Stands for all levels, or all options of a level, that have no name: programs can
 * invent them. */
#define CODE_OTHER ((__s32)0x80000000)

/* What distinguishes series of pending errors; a mask. */
enum peer_parts {
	PEER_ADDRESS = 1 << 0,
	PEER_PORT = 1 << 1,
};

/* In the key of a series of one peer: level and option, which are always those of
 * SO_ERROR, have a hash of the peer instead. */
#define PENDING_OF_PEER 2

/* In a key of no series every bit is set. */
struct series_key {
	__u32 group;
	__s32 level;
	__s32 option;
	__u16 error; /* errno of a failed call, or pending error when pending is set */
	__u8 entry;
	__u8 pending; /* the call succeeded, and SO_ERROR returned error; or PENDING_OF_PEER */
};

/* How calls are sampled, set by user space. See sampling.h. */
struct setting {
	__u64 threshold; /* 56 bits */
	__u32 limit;     /* of kept calls, above which the kernel lowers their share */
	__u32 kept;      /* since user space took the number */
};

struct sampler {
	struct setting own;
	__u32 sampled_out; /* since user space took the number; of an overflow, or of lifted */
	__u32 settled;     /* 0: it draws on the setting of its group, or its owner */
};

/* Exponential histogram of scale 2: bounds[i] < v <= bounds[i+1] in ns. User space
 * sets the bounds. 148 buckets, between 147 bounds, reach past 100 s. */
#define HISTOGRAM_BUCKETS 148

/* Buckets are numbered from that of 60 ns, so that the first are those of most calls. */
#define HISTOGRAM_FIRST 24

/* Number and duration of calls in one word, for one atomic add. The durations in these
 * buckets, those of common calls and the next of slow ones, are below 2^12 ns: their sum has
 * twelve bits more than their number. A cell whose highest bit is set, after 2^25 calls, is
 * full. */
#define CALL_SHIFT 38
#define COMMON_BUCKETS 13
#define SLOW_BUCKETS 8

/* The common calls of a series since user space took the numbers, by CPUs: what a call
 * writes, as close together as the cache needs it. */
struct series_counts {
	struct series_key key;
	__u32 sampled_out; /* of sampler */
	__u32 next;        /* the series that a thread called after this one, see find_counts() */
	__u64 cells[COMMON_BUCKETS];
};

/* The slow calls of a series likewise, of all CPUs: a cache line. */
struct slow_counts {
	__u64 cells[SLOW_BUCKETS];
};

/* The rest of a series, with the slowest calls, and all of an overflow, which has no key. */
#define BUCKET_FULL (1U << 31)
struct series_slot {
	__u64 key_hash; /* written after key; 0: free */
	__u64 sum;      /* ns */
	struct sampler sampler;
	struct sampler lifted;            /* of calls of always_keep in a series with others */
	__u32 buckets[HISTOGRAM_BUCKETS]; /* HISTOGRAM_FIRST, ..., the last; 0, 1, ... */
};

/* The groups, by index. User space sets the number before the group is free, the
 * kernel the rest. */
struct group_state {
	__u32 number;
	__u32 owner; /* index in owner_states */
	__u32 slots;
	__u32 settled;            /* 0: its series draw on the setting of the owner */
	struct setting unsettled; /* of its series that are not settled */
};

/* The owners of groups, by index. Owner 0 has the groups of owners for which none was
 * free. */
struct owner_state {
	__u32 groups;
	__u32 slots;
	__u32 slots_of_group; /* how many each of its groups may hold */
	__u32 reserved;
	struct setting unsettled; /* of series that are not settled, nor their group */
};

/* Bytes of the ring buffer that are not read yet. */
struct ring_use {
	__s32 by_group;
	__s32 by_owner;
};

/* How the tables are divided, set by user space, and what is left of them. */
struct shares {
	__s64 free_slots;
	__s64 free_groups;
	__u32 slots_of_owner; /* how many an owner may hold */
	__u32 groups_of_owner;
	__u32 fair_slots; /* of each owner, if all wanted more */
	__u32 fair_groups;
	__u32 epoch; /* raised when what threads remember may be out of date: they look again */
	__u32 reader_sleeps;  /* until the next record of the ring buffer wakes it */
	__u32 control_sleeps; /* until the next call, of which any looks again */
	__u32 reserved;
	struct setting unsettled; /* of a new owner */
};

/* The counters of calls besides the series; internal/record.Counters defines each.
 * There is one slot a CPU, modulo COUNTER_SLOTS, so that memory does not grow with
 * the CPUs. A slot is two cache lines, and rare counters are in the second. */
struct call_counters {
	__u64 seen;
	__u64 filtered;
	__u64 no_entry;
	__u64 no_exit;
	__u64 no_storage;
	__u64 no_completion;
	__u64 submitted;
	__u64 ring_full;
	__u64 process_lost;
	__u64 value_read_errors;
	__u64 length_read_errors;
	__u64 series_overflow;
	__u64 group_overflow;
	__u64 seccomp;
	__u64 reserved[2];
};

#define COUNTER_SLOTS 64

/* How a thread finds its copy of a thread-local variable. */
enum tls_access {
	TLS_OFFSET = 1,          /* at a fixed distance from the thread pointer: local exec */
	TLS_SLOT_OFFSET = 2,     /* the slot holds the distance: initial exec */
	TLS_SLOT_INDEX = 3,      /* the slot holds {module, offset}: general dynamic */
	TLS_SLOT_DESCRIPTOR = 4, /* the slot holds {function, argument}: TLSDESC */
};

/* The tables of which owners have shares, see shared_table.h. */
enum shared_table {
	TABLE_PUBLISHERS,
	TABLE_NAMES,
	TABLE_AWAITED,
	TABLE_CONTEXTS, /* records in the ring buffer of process contexts */
	SHARED_TABLES,
};

#define TABLE_OWNER_BITS 10
#define TABLE_OWNERS (1 << TABLE_OWNER_BITS)

/* The elements of a table, and for whom they count. */
struct table_use {
	__s32 size; /* set by user space */
	__s32 used;
	__s32 by_owner[TABLE_OWNERS]; /* by hash_owner() */
};

/* How to find the active span in a process. User space finds it out, see
 * internal/publisher. */
struct publisher {
	__u64 start; /* with the pid, the key of the map, a process_key */
	__u32 exec_id;
	__u8 sources;   /* bits of enum parent_source */
	__u8 tls;       /* enum tls_access */
	__u8 dtv_entry; /* bytes of an entry of the dynamic thread vector: 16 in glibc, 8 in musl */
	__s8 dtv_at;    /* where its address is, from the thread pointer */
	__u64 variable; /* TLS_OFFSET: the distance; otherwise the address of the slot */
	__u16 go_procid; /* offsets in the runtime's m and g */
	__u16 go_curg;
	__u16 go_labels;
	__u16 owner; /* for whom it counts */
};

/* Spans without a parent although their program publishes its context. */
struct parent_counters {
	__u64 unreadable; /* memory was not resident or not mapped */
	__u64 malformed;  /* read, and not valid */
	__u64 deferred;   /* a request of io_uring that may run outside of the span it belongs to */
};

/* The process context of a program, see process_context.h. */
#define PROCESS_CONTEXT_MAX 4096
struct process_context {
	struct process_key process;
	__u32 size;   /* of the payload, which may be cut here */
	__u16 owner;  /* for whom it counts */
	__u16 unread; /* the payload could not be read */
	__u8 payload[PROCESS_CONTEXT_MAX];
};

/* The names that a process's context gives its service; empty ones are not published. */
struct published_names {
	__u64 start; /* with the pid, the key of the map, a process_key */
	__u32 exec_id;
	__u32 version; /* of the element, no other has it */
	__u16 owner;   /* for whom it counts */
	__u16 reserved[3];
	char name[GROUP_NAME_LENGTH];
	char name_space[GROUP_NAMESPACE_LENGTH]; /* percent-encoded, as in group_key */
	char instance[GROUP_INSTANCE_LENGTH];
};

/* A context that is to be read in a call of its process. */
struct awaited_context {
	__u64 start;
	__u64 at;
	__u32 exec_id;
	__u16 attempts; /* to read it so far */
	__u16 owner;    /* for whom it counts */
};

/* Process contexts that were not read. */
struct process_context_counters {
	__u64 unreadable; /* memory was not resident or not mapped */
	__u64 changing;   /* the program was changing it */
	__u64 malformed;  /* the header is not one */
	__u64 ring_full;
	__u64 no_space; /* for the owner, in published_names or awaited_contexts */
};

/* Processes that were identified in part, each counted once. User space counts those
 * whose environment it completes. */
struct identity_counters {
	__u64 environment_overwritten;
	__u64 variable_cut;
	__u64 path_cut;
	__u64 cgroup_cut;
};

#endif
