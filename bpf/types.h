/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The types of calls, threads and processes that maps contain.
 */
#ifndef GETSOCKOPT_TYPES_H
#define GETSOCKOPT_TYPES_H

#include <linux/bpf.h>

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
	__s32 level; /* a word with option, see is_so_error() */
	__s32 option;
	__s32 fd;
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

/* The series of a thread's last call: most threads repeat their calls. The key in its
 * counts tells whether it is that of a call. */
struct series_cache {
	__u32 series;    /* its slot, less first_slot */
	__u32 copy_rule; /* one more than its option allows; 0 before the lookup */
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
	struct series_cache cache;
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

#endif
