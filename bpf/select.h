/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which calls are selected. The rules for executables, containers and units are applied
 * once to a process, those for options and users to each call. Exclusion wins.
 *
 * User space makes a table of each glob (Shift-And, with one bit for each state), so a
 * name is matched with one lookup for each character, whatever the glob.
 */
#ifndef GETSOCKOPT_SELECT_H
#define GETSOCKOPT_SELECT_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "cgroup.h"
#include "kernel.h"
#include "maps.h"
#include "process.h"
#include "scratch.h"

static __always_inline __u64 next_states(const struct glob_pattern *p, __u64 states, __u8 c)
{
	return (states & p->next[c]) << 1 | (states & p->stars);
}

/* Matches a chunk of the name at the beginning of data. True at its end. */
__noinline int match_name_bytes(__u32 scratch_id, __u32 index, __u32 at)
{
	struct glob_pattern *p = bpf_map_lookup_elem(&patterns, &index);
	struct scratch *s = scratch(scratch_id);

	if (!p || !s)
		return 1;
	for (__u32 i = 0; i < CHUNK; i++) {
		__u8 c = s->data[(at + i) & (COMPONENT_MAX - 1)];

		if (c == 0)
			return 1;
		s->states = next_states(p, s->states, c);
	}
	return 0;
}

/* Whether the whole name matches a glob. */
__noinline int match_name(__u32 scratch_id, __u32 index)
{
	struct glob_pattern *p = bpf_map_lookup_elem(&patterns, &index);
	struct scratch *s = scratch(scratch_id);

	if (!p || !s)
		return 0;
	s->states = 1;
	for (__u32 at = 0; at < COMPONENT_MAX; at += CHUNK)
		if (match_name_bytes(scratch_id, index, at))
			break;
	return (s->states & p->accept) != 0;
}

/* Matches the name in data with all globs of a subject. Returns a mask of enum rule:
 * those that apply. */
__noinline int rules_for(__u32 scratch_id, __u32 subject)
{
	__u32 applied = 0;

	for (__u32 i = 0; i < PATTERNS_MAX && i < pattern_count; i++) {
		__u32 index = i + always_zero;
		struct glob_pattern *p = bpf_map_lookup_elem(&patterns, &index);

		if (p && p->subject == subject && match_name(scratch_id, index))
			applied |= p->rule;
	}
	return applied;
}

static __always_inline bool allowed(__u32 applied, enum subject subject)
{
	if (applied & RULE_EXCLUDE)
		return false;
	return !(included_subjects & subject) || applied & RULE_INCLUDE;
}

static __always_inline bool container_selected(struct scratch *s, __u32 scratch_id)
{
	__builtin_memset(s->data, 0, 2 * CONTAINER_ID_LENGTH);
	bpf_probe_read_kernel(s->data, CONTAINER_ID_LENGTH, s->record.container);
	return allowed(rules_for(scratch_id, SUBJECT_CONTAINER), SUBJECT_CONTAINER);
}

/* A process without a unit matches no glob, not even a star. */
static __always_inline bool unit_selected(struct scratch *s, __u32 scratch_id)
{
	if (!s->unit.service_length)
		return allowed(0, SUBJECT_UNIT);
	bpf_probe_read_kernel_str(s->data, UNIT_NAME_LENGTH, s->unit.name);
	return allowed(rules_for(scratch_id, SUBJECT_UNIT), SUBJECT_UNIT);
}

/* Whether the calls of a new process are selected, whose cgroups were read. */
__noinline int process_selected(__u32 scratch_id)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return 1;
	s->offset = 0;
	append_name(task, s, scratch_id);
	if (!allowed(rules_for(scratch_id, SUBJECT_EXECUTABLE), SUBJECT_EXECUTABLE))
		return 0;
	if (ruled_subjects & SUBJECT_CONTAINER && !container_selected(s, scratch_id))
		return 0;
	return !(ruled_subjects & SUBJECT_UNIT) || unit_selected(s, scratch_id);
}

static __always_inline bool option_selected(__s32 level, __s32 option)
{
	struct option_key key = { .level = level, .option = option };
	__u32 *rule, applied = 0;

	rule = bpf_map_lookup_elem(&option_rules, &key);
	if (rule)
		applied = *rule;
	key.option = 0;
	key.any_option = 1;
	rule = bpf_map_lookup_elem(&option_rules, &key);
	if (rule)
		applied |= *rule;
	return allowed(applied, SUBJECT_OPTION);
}

static __always_inline bool user_selected(struct task_struct *task)
{
	__u32 uid = BPF_CORE_READ(task, cred, euid.val);
	__u32 *rule = bpf_map_lookup_elem(&user_rules, &uid);

	return allowed(rule ? *rule : 0, SUBJECT_USER);
}

static __always_inline bool call_selected(struct task_struct *task, const struct thread_state *t,
					  __s32 level, __s32 option)
{
	if (ruled_subjects & SUBJECT_OPTION && !option_selected(level, option))
		return false;
	if (ruled_subjects & SUBJECT_USER && !user_selected(task))
		return false;
	return !t->excluded;
}

#endif
