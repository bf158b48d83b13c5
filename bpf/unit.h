/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The systemd unit that a component of a cgroup path names.
 *
 * A unit is named as systemctl has it: systemd puts an underscore before the names that
 * cgroups reserve (_cpu.service, _tasks.service), and escapes stay as they are (\x2d).
 */
#ifndef GETSOCKOPT_UNIT_H
#define GETSOCKOPT_UNIT_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "scratch.h"

enum unit_kind {
	UNIT_NONE = 0, /* a slice, or a cgroup that something else made */
	UNIT_SERVICE,
	UNIT_MANAGER, /* another systemd runs in it, and has units below it */
	/* A login, a scope, or a service of one run: a name for each would be as many
	 * services as there ever were runs. */
	UNIT_UNNAMED,
};

static const char service_suffix[] = ".service";
static const char scope_suffix[] = ".scope";
static const char slice_suffix[] = ".slice";
static const char run_prefix[] = "run-"; /* of systemd-run */
static const char user_manager_prefix[] = "user@";
static const char nspawn_prefix[] = "systemd-nspawn@";
static const char machine_prefix[] = "machine-"; /* scopes of systemd-machined */

static __always_inline __u8 character(const struct scratch *s, __u32 at)
{
	return s->component[at & (COMPONENT_MAX - 1)];
}

/* Whether the text is at a place of the component. */
static __always_inline bool text_at(const struct scratch *s, __u32 at, const char *text,
				    __u32 length)
{
	for (__u32 i = 0; i < length; i++)
		if (character(s, at + i) != text[i])
			return false;
	return true;
}

#define BEGINS_WITH(s, prefix) text_at(s, 0, prefix, sizeof(prefix) - 1)

/* A name is longer than its suffix. */
#define ENDS_WITH(s, end, suffix)      \
	((end) > sizeof(suffix) - 1 && \
	 text_at(s, (end) - (sizeof(suffix) - 1), suffix, sizeof(suffix) - 1))

static __always_inline bool is_slice(const struct scratch *s, __u32 end)
{
	return ENDS_WITH(s, end, slice_suffix);
}

static __always_inline bool is_digit(__u8 c)
{
	return c >= '0' && c <= '9';
}

static __always_inline bool is_unit_character(__u8 c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ':' ||
	       c == '-' || c == '_' || c == '.' || c == '\\' || c == '@';
}

__noinline int scan_characters(__u32 scratch_id, __u32 at)
{
	struct scratch *s = scratch(scratch_id);

	if (!s)
		return 1;
	for (__u32 i = 0; i < CHUNK; i++) {
		__u8 c = character(s, at + i);

		if (c == 0)
			return 1;
		if (!is_unit_character(c))
			s->unit_characters = 0;
		if (c == '@' && !s->at_sign)
			s->at_sign = at + i;
		if (c == ':' && !s->colon)
			s->colon = at + i;
	}
	return 0;
}

/* Finds the marks in a component that unit_kind and pods need. */
static __always_inline void scan_component(struct scratch *s, __u32 scratch_id)
{
	s->at_sign = 0;
	s->colon = 0;
	s->unit_characters = 1;
	for (__u32 at = 0; at < COMPONENT_MAX; at += CHUNK)
		if (scan_characters(scratch_id, at))
			return;
}

static __always_inline __u32 unit_begin(const struct scratch *s)
{
	return s->component[0] == '_';
}

/* The kind of the component, without its NUL. Names that systemd does not accept are no
 * units (unit_name_is_valid()). */
__noinline int unit_kind(__u32 scratch_id, __u32 length)
{
	struct scratch *s = scratch(scratch_id);
	__u32 end = length - (sizeof(service_suffix) - 1), begin;

	if (!s)
		return UNIT_NONE;
	begin = unit_begin(s);
	if (ENDS_WITH(s, length, scope_suffix))
		return BEGINS_WITH(s, machine_prefix) ? UNIT_MANAGER : UNIT_UNNAMED;
	if (!ENDS_WITH(s, length, service_suffix) || end <= begin || !s->unit_characters)
		return UNIT_NONE;
	if (character(s, begin) == '@' || (s->at_sign && s->at_sign + 1 >= end))
		return UNIT_NONE; /* no prefix, or a template without its instance */
	if (BEGINS_WITH(s, user_manager_prefix) || BEGINS_WITH(s, nspawn_prefix))
		return UNIT_MANAGER;
	return BEGINS_WITH(s, run_prefix) ? UNIT_UNNAMED : UNIT_SERVICE;
}

/* Takes the component, a unit of a service. The service's name is without the instance,
 * of which there may be one for each connection. */
static __always_inline void take_unit(struct scratch *s, struct systemd_unit *unit, __u32 length)
{
	__u32 begin = unit_begin(s), end = length - (sizeof(service_suffix) - 1);

	__builtin_memset(unit, 0, sizeof(*unit));
	bpf_probe_read_kernel_str(unit->name, sizeof(unit->name), &s->component[begin]);
	unit->service_length = (s->at_sign ? s->at_sign : end) - begin;
}

/* Copies a unit, which is too long for clang's own copies. */
static __always_inline void copy_unit(struct systemd_unit *to, const struct systemd_unit *from)
{
	bpf_probe_read_kernel(to, sizeof(*to), from);
}

#endif
