/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What user space sets before it loads the programs. The verifier then removes the code that
 * is off.
 */
#ifndef GETSOCKOPT_SETTINGS_H
#define GETSOCKOPT_SETTINGS_H

#include <linux/bpf.h>

#include "records.h"

const volatile __u8 task_storage_available = 1;   /* in tracing programs: 5.12 */
const volatile __u8 task_registers_available = 1; /* bpf_task_pt_regs: 5.15 */
const volatile __u8 casts_available;              /* bpf_rdonly_cast: 6.2 */
const volatile __u8 spans_enabled = 1;
const volatile __u8 values_enabled = 1;
const volatile __u8 parents_enabled = 1;
const volatile __u8 process_contexts_enabled = 1;
const volatile __u32 value_max = 512;
const volatile __u64 ring_size = 4 * 1024 * 1024; /* a power of two */
const volatile __u8 group_by = GROUP_BY_SERVICE;
const volatile __u8 name_fallbacks[FALLBACKS_MAX] = { FALLBACK_UNIT, FALLBACK_EXECUTABLE };
/* Of the hashes of locations and peers: random, so that no program finds equal ones. */
const volatile __u64 hash_seed;
const volatile __u8 peer_parts; /* enum peer_parts */
const volatile __u8 keep_failed = 1;
const volatile __u64 keep_slower = ~0ULL; /* ns */
const volatile __u64 ratio_threshold;     /* 56 bits, of calls that always_keep does not lift */
const volatile __u8 spans_limited;        /* spans have a target rate */
const volatile __u32 first_slot;          /* of series; those before are of overflow */
const volatile __u32 series_limit;
const volatile __u32 shard_mask; /* of the CPU's number, see series_counts */
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
/* The bucket of each duration below, which most calls have. */
#define SHORT_DURATIONS 4096 /* ns */
const volatile __u8 bucket_short[SHORT_DURATIONS];

#endif
