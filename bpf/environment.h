/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads from the environment of a process what OpenTelemetry's own variables name.
 */
#ifndef GETSOCKOPT_ENVIRONMENT_H
#define GETSOCKOPT_ENVIRONMENT_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "scratch.h"

#define ENVIRONMENT_STRINGS 2048
#define ENVIRONMENT_BYTES (128 * 1024)

/* OTEL_SERVICE_NAME with one byte more than a name may have, and a NUL. */
#define NAME_VARIABLE_MAX ((long)sizeof(service_name_variable) + GROUP_NAME_LENGTH)

static const char service_name_variable[] = "OTEL_SERVICE_NAME=";
static const char attributes_variable[] = "OTEL_RESOURCE_ATTRIBUTES=";

static __always_inline bool is_service_name(const __u8 *s)
{
	return same8(s, service_name_variable) && same8(s + 8, service_name_variable + 8) &&
	       s[16] == service_name_variable[16] && s[17] == service_name_variable[17];
}

static __always_inline bool is_attributes(const __u8 *s)
{
	return same8(s, attributes_variable) && same8(s + 8, attributes_variable + 8) &&
	       same8(s + 16, attributes_variable + 16) && s[24] == attributes_variable[24];
}

/* 1 if the string has an equals sign, 2 if it has none, 0 if it continues. */
__noinline int find_equals_sign(__u32 scratch_id, __u32 at)
{
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return 2;
	for (__u32 i = 0; i < CHUNK; i++) {
		__u8 c = s->data[(s->offset + at + i) & (SCRATCH_DATA - 1)];

		if (c == '=')
			return 1;
		if (c == 0)
			return 2;
	}
	return 0;
}

/* Whether the string at offset is KEY=value. A string with a very long key is. */
static __always_inline bool is_variable(__u32 scratch_id)
{
	for (__u32 at = 0; at < COMPONENT_MAX; at += CHUNK) {
		int found = find_equals_sign(scratch_id, at);

		if (found)
			return found == 1;
	}
	return true;
}

/* Skips NULs in strides: an environment that a title overwrote is full of them. */
__noinline int skip_nuls(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	__u64 any = 0;

	if (!s || bpf_probe_read_user(s->component, COMPONENT_MAX, (void *)s->at))
		return 0;
	for (__u32 i = 0; i < COMPONENT_MAX / sizeof(any); i++)
		any |= ((__u64 *)s->component)[i];
	if (!any)
		s->at += COMPONENT_MAX;
	return 0;
}

/* Continues a string that is longer than one read: the rest is no variable. The rest is
 * empty if the string ended exactly with the read. */
static __always_inline void continue_string(struct scratch *s, long length)
{
	if (s->within == 2 && length > 1)
		s->record.flags |= PROCESS_VARIABLE_CUT | PROCESS_ATTRIBUTES_CUT;
	s->within = length == SCRATCH_SLACK;
}

static __always_inline bool both_found(const struct scratch *s)
{
	return s->name_at && s->attributes_at && !s->within;
}

/* Takes the next string of the environment. True at the end. */
__noinline int next_variable(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	__u32 offset;
	__u8 *string;
	long length;

	if (!s || s->at >= s->end || both_found(s))
		return 1;
	offset = s->offset & (SCRATCH_DATA - 1);
	string = &s->data[offset];
	length = bpf_probe_read_user_str(string, SCRATCH_SLACK, (void *)s->at);
	if (length <= 0) {
		s->record.flags |= PROCESS_ENVIRONMENT_UNAVAILABLE;
		return 1;
	}
	s->at += length == SCRATCH_SLACK ? SCRATCH_SLACK - 1 : length;
	if (s->within) {
		continue_string(s, length);
		return 0;
	}
	s->within = length == SCRATCH_SLACK;
	if (length == 1) {
		s->record.flags |= PROCESS_ENVIRONMENT_OVERWRITTEN;
		s->distrusted = 1;
		skip_nuls(scratch_id);
		return 0;
	}
	if (s->distrusted) {
		s->distrusted--;
		return 0;
	}
	if (!s->assigned)
		s->assigned = is_variable(scratch_id);
	if (!s->name_at && is_service_name(string)) {
		s->name_at = offset + sizeof(service_name_variable) - 1;
		/* The one byte more marks the name as cut; no other leaves the kernel. */
		if (length > NAME_VARIABLE_MAX) {
			length = NAME_VARIABLE_MAX;
			string[length - 1] = 0;
		}
		if (length == NAME_VARIABLE_MAX)
			s->record.flags |= PROCESS_VARIABLE_CUT;
	} else if (!s->attributes_at && is_attributes(string)) {
		s->attributes_at = offset + sizeof(attributes_variable) - 1;
		s->within *= 2;
	} else {
		return 0;
	}
	s->offset = offset + length;
	return 0;
}

LONG_LOOP(walk_environment, next_variable, ENVIRONMENT_STRINGS)

/* Whether the title of the process extends into its environment: the NUL that exec(2)
 * put behind the last argument is then overwritten. */
static __always_inline bool title_overflows(struct mm_struct *mm, __u64 environment)
{
	__u64 end = BPF_CORE_READ(mm, arg_end);
	__u8 last = 0;

	return end == environment && BPF_CORE_READ(mm, arg_start) < end &&
	       bpf_probe_read_user(&last, sizeof(last), (void *)(end - 1)) == 0 && last;
}

/*
 * Copies the two variables into data, and stores the offsets of their values. A BPF
 * program cannot fault pages in: user space completes an environment that is not
 * resident, or longer than ENVIRONMENT_BYTES.
 *
 * Programs that change their title move their environment and overwrite the old one. The
 * old one then has strings that are not KEY=value, and the string after them may be the
 * end of another: it is not taken for a variable. User space would find no more, so it
 * does not try.
 */
static __always_inline void read_environment(struct task_struct *task, struct scratch *s,
					     __u32 scratch_id)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u64 begin = BPF_CORE_READ(mm, env_start), end = BPF_CORE_READ(mm, env_end);

	s->offset = 0;
	s->name_at = 0;
	s->attributes_at = 0;
	s->within = 0;
	s->distrusted = 0;
	s->assigned = 0;
	s->at = begin;
	s->end = end;
	if (title_overflows(mm, begin)) {
		s->record.flags |= PROCESS_ENVIRONMENT_OVERWRITTEN;
		s->distrusted = 2; /* the title, and what it left of a variable */
	}
	if (end - begin > ENVIRONMENT_BYTES)
		s->end = begin + ENVIRONMENT_BYTES;
	if (!walk_environment(scratch_id) || (s->at >= s->end && s->end != end && !both_found(s)))
		s->record.flags |= PROCESS_ENVIRONMENT_UNAVAILABLE;
	else if (begin < end && !s->assigned &&
		 !(s->record.flags & PROCESS_ENVIRONMENT_UNAVAILABLE))
		s->record.flags |= PROCESS_ENVIRONMENT_OVERWRITTEN;
	if (s->record.flags & PROCESS_ENVIRONMENT_OVERWRITTEN)
		s->record.flags &= ~PROCESS_ENVIRONMENT_UNAVAILABLE;
}

#endif
