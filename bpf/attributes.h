/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds in OTEL_RESOURCE_ATTRIBUTES what names a service.
 */
#ifndef GETSOCKOPT_ATTRIBUTES_H
#define GETSOCKOPT_ATTRIBUTES_H

#include <linux/bpf.h>
#include <stdbool.h>

#include "maps.h"
#include "records.h"
#include "scratch.h"

#define ATTRIBUTES_BYTES 4096

static const char name_attribute[] = "service.name";
static const char namespace_attribute[] = "service.namespace";
static const char instance_attribute[] = "service.instance.id";

enum scan_state {
	SCAN_KEY = 0, /* matched: characters of the key so far */
	SCAN_NAME,    /* written: bytes of the value so far */
	SCAN_NAMESPACE,
	SCAN_INSTANCE,
	SCAN_OTHER,
};

#define ATTRIBUTE_KEY_MAX 32 /* more than any attribute's length, a power of two */

#define NAME_CANDIDATE 1
#define NAMESPACE_CANDIDATE 2
#define INSTANCE_CANDIDATE 4

static __always_inline void start_key(struct scratch *s)
{
	s->state = SCAN_KEY;
	s->matched = 0;
	s->candidates = NAME_CANDIDATE | NAMESPACE_CANDIDATE | INSTANCE_CANDIDATE;
}

static __always_inline bool is_blank(__u8 c)
{
	return c == ' ' || c == '\t';
}

static __always_inline void scan_key(struct scratch *s, __u8 c)
{
	__u32 matched = s->matched & (ATTRIBUTE_KEY_MAX - 1);

	if (is_blank(c))
		return;
	if (c == '=') {
		s->written = 0;
		s->state = SCAN_OTHER;
		if (s->candidates & NAME_CANDIDATE && matched == sizeof(name_attribute) - 1)
			s->state = SCAN_NAME;
		if (s->candidates & NAMESPACE_CANDIDATE &&
		    matched == sizeof(namespace_attribute) - 1)
			s->state = SCAN_NAMESPACE;
		if (s->candidates & INSTANCE_CANDIDATE && matched == sizeof(instance_attribute) - 1)
			s->state = SCAN_INSTANCE;
		return;
	}
	if (matched >= sizeof(name_attribute) - 1 || c != name_attribute[matched])
		s->candidates &= ~NAME_CANDIDATE;
	if (matched >= sizeof(namespace_attribute) - 1 || c != namespace_attribute[matched])
		s->candidates &= ~NAMESPACE_CANDIDATE;
	if (matched >= sizeof(instance_attribute) - 1 || c != instance_attribute[matched])
		s->candidates &= ~INSTANCE_CANDIDATE;
	if (!s->candidates)
		s->state = SCAN_OTHER;
	s->matched = matched + 1;
}

/* Scans one byte of OTEL_RESOURCE_ATTRIBUTES. True at its end. */
__noinline int scan_byte(__u32 scratch_id, __u32 i)
{
	struct scratch *s = scratch(scratch_id);
	__u8 c = s ? s->data[(s->attributes_at + i) & (SCRATCH_DATA - 1)] : 0;
	__u32 written;

	if (!c)
		return 1;
	written = s->written & (GROUP_NAME_LENGTH - 1);
	if (c == ',') {
		s->comma = i;
		start_key(s);
	} else if (s->state == SCAN_KEY) {
		scan_key(s, c);
	} else if (s->written == 0 && is_blank(c)) {
		return 0; /* a blank name is none */
	} else if (s->state == SCAN_NAME && written < GROUP_NAME_LENGTH - 1) {
		s->group.name[written] = c;
		s->group.name[(written + 1) & (GROUP_NAME_LENGTH - 1)] = 0;
		s->group.flags |= GROUP_FROM_ATTRIBUTES;
		s->written = written + 1;
	} else if (s->state == SCAN_NAMESPACE && written < GROUP_NAMESPACE_LENGTH - 1) {
		s->group.name_space[written & (GROUP_NAMESPACE_LENGTH - 1)] = c;
		s->group.name_space[(written + 1) & (GROUP_NAMESPACE_LENGTH - 1)] = 0;
		s->written = written + 1;
	} else if (s->state == SCAN_INSTANCE && written < GROUP_INSTANCE_LENGTH - 1) {
		s->described.location.instance[written & (GROUP_INSTANCE_LENGTH - 1)] = c;
		s->described.location.instance[(written + 1) & (GROUP_INSTANCE_LENGTH - 1)] = 0;
		s->written = written + 1;
	}
	return 0;
}

__noinline int scan_bytes(__u32 scratch_id, __u32 at)
{
	for (__u32 i = 0; i < CHUNK; i++)
		if (scan_byte(scratch_id, at + i))
			return 1;
	return 0;
}

static __always_inline void scan_to_end(struct scratch *s, __u32 scratch_id)
{
	start_key(s);
	s->comma = 0;
	for (__u32 at = 0; at < ATTRIBUTES_BYTES; at += CHUNK)
		if (scan_bytes(scratch_id, at))
			return;
}

/* Finds service.name, service.namespace and service.instance.id in
 * OTEL_RESOURCE_ATTRIBUTES, still encoded: user space decodes them and merges equal ones.
 * Of equal keys the last wins. */
static __always_inline void scan_attributes(struct scratch *s, __u32 scratch_id)
{
	scan_to_end(s, scratch_id);
	if (!(s->record.flags & PROCESS_ATTRIBUTES_CUT))
		return;
	/* A part of a value would be a wrong value: scan again, without the last pair. */
	s->data[(s->attributes_at + s->comma) & (SCRATCH_DATA - 1)] = 0;
	__builtin_memset(&s->group, 0, sizeof(s->group));
	__builtin_memset(&s->described, 0, sizeof(s->described));
	scan_to_end(s, scratch_id);
}

#endif
