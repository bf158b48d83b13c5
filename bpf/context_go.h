/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The active span of a goroutine, from its pprof labels. Instrumentation that links
 * profiles with traces sets two labels to the ids of the span. Go keeps the running
 * goroutine (g) in a register, which the kernel saves at the entry of the system call, and
 * the labels in g as a slice of pairs of strings (since Go 1.24).
 */
#ifndef GETSOCKOPT_CONTEXT_GO_H
#define GETSOCKOPT_CONTEXT_GO_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "arch.h"
#include "context_search.h"
#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "scratch.h"

#define GO_M 48 /* offset of g.m, in every supported version */
#define GO_LABELS_MAX 16

/* The value of a lower-case hexadecimal digit with this bit, and 0 of any other byte. */
#define HEX_DIGIT 0x10
static const __u8 hex_digits[256] = {
	['0'] = 0x10, ['1'] = 0x11, ['2'] = 0x12, ['3'] = 0x13, ['4'] = 0x14, ['5'] = 0x15,
	['6'] = 0x16, ['7'] = 0x17, ['8'] = 0x18, ['9'] = 0x19, ['a'] = 0x1a, ['b'] = 0x1b,
	['c'] = 0x1c, ['d'] = 0x1d, ['e'] = 0x1e, ['f'] = 0x1f,
};

/* False if a byte is no digit, or all of them are zeros. */
static __always_inline bool decode_hex(__u8 *to, const __u8 *digits, int bytes)
{
	__u8 valid = HEX_DIGIT, any = 0;

	for (int i = 0; i < bytes; i++) {
		__u8 high = hex_digits[digits[2 * i]], low = hex_digits[digits[2 * i + 1]];

		valid &= high & low;
		to[i] = high << 4 | (low & 0xf);
		any |= to[i];
	}
	return valid && any;
}

static __always_inline bool decode_decimal(__u8 *to, const __u8 *digits, __u64 length)
{
	__u64 number = 0;

	for (__u32 i = 0; i < SPAN_DECIMALS && i < length; i++) {
		__u64 digit = (__u64)digits[i] - '0', next = number * 10 + digit;

		if (digit > 9 || number > ~0ULL / 10 || next < digit)
			return false;
		number = next;
	}
	*(__u64 *)to = bpf_cpu_to_be64(number);
	return number != 0;
}

/* The id of the current thread in its own pid namespace, as gettid(2) returns it. */
static __always_inline __u32 namespace_tid(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level) & (MAX_PID_NS_LEVEL - 1);
	struct upid *upid = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			    level * bpf_core_type_size(struct upid);

	return BPF_CORE_READ(upid, nr);
}

/* Whether g runs on this thread. C code may have left another goroutine in the register. */
static __always_inline bool runs_here(struct context_search *c, __u64 g)
{
	return read_user(&c->m, sizeof(c->m), g + GO_M) == 0 &&
	       read_user(&c->of_m, sizeof(c->of_m), c->m + c->by.go_curg) == 0 && c->of_m == g &&
	       read_user(&c->of_m, sizeof(c->of_m), c->m + c->by.go_procid) == 0 &&
	       c->of_m == namespace_tid((void *)bpf_get_current_task());
}

/* Finds the labels of the running goroutine. */
__noinline int find_labels(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	__u64 g = goroutine_register();
	struct context_search *c;

	if (!s)
		return PARENT_UNREADABLE;
	c = &s->context;
	if (!g || read_user(&c->labels.at, sizeof(c->labels.at), g + c->by.go_labels) ||
	    !c->labels.at || !runs_here(c, g))
		return PARENT_ABSENT;
	if (read_user(&c->labels, sizeof(c->labels), c->labels.at))
		return PARENT_UNREADABLE;
	if (c->labels.length > GO_LABELS_MAX)
		return PARENT_MALFORMED;
	c->underscored.trace.at = c->underscored.span.at = 0;
	c->spaced.trace.at = c->spaced.span.at = 0;
	return PARENT_FOUND;
}

/* Takes the next label if it is one of the ids. False when a read fails. */
__noinline int next_label(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	struct context_search *c;

	if (!s)
		return false;
	c = &s->context;
	if (read_user(&c->label, sizeof(c->label), c->labels.at))
		return false;
	c->labels.at += sizeof(c->label);
	c->labels.length--;
	c->key = 0;
	if (c->label.key.length == 7) {
		if (read_user(&c->key, 7, c->label.key.at))
			return false;
		if (c->key == *(__u64 *)"span_id")
			c->underscored.span = c->label.value;
		else if (c->key == *(__u64 *)"span id")
			c->spaced.span = c->label.value;
	} else if (c->label.key.length == 8) {
		if (read_user(&c->key, 8, c->label.key.at))
			return false;
		if (c->key == *(__u64 *)"trace_id")
			c->underscored.trace = c->label.value;
		else if (c->key == *(__u64 *)"trace id")
			c->spaced.trace = c->label.value;
	}
	return true;
}

static __always_inline enum parent_search decode_span(struct context_search *c, bool decimal)
{
	__u64 length = decimal ? c->spaced.span.length : SPAN_DIGITS;
	__u64 at = decimal ? c->spaced.span.at : c->underscored.span.at;

	barrier_var(length);
	if (length > SPAN_DECIMALS || read_user(c->span, length, at))
		return PARENT_UNREADABLE;
	if (decimal ? decode_decimal(c->parent.span, c->span, length) :
		      decode_hex(c->parent.span, c->span, SPAN_DIGITS / 2))
		return PARENT_FOUND;
	return PARENT_MALFORMED;
}

/* Decodes the ids of the convention that has both. The span's is decimal in the spaced
 * one. */
__noinline int decode_ids(__u32 scratch_id)
{
	struct scratch *s = scratch(scratch_id);
	struct context_search *c;
	struct go_ids *ids;
	bool spaced;

	if (!s)
		return PARENT_UNREADABLE;
	c = &s->context;
	spaced = !(c->underscored.trace.at && c->underscored.span.at);
	if (spaced && !(c->spaced.trace.at && c->spaced.span.at))
		return PARENT_ABSENT;
	ids = spaced ? &c->spaced : &c->underscored;
	if (ids->trace.length != TRACE_DIGITS || ids->span.length == 0 ||
	    (spaced ? ids->span.length > SPAN_DECIMALS : ids->span.length != SPAN_DIGITS))
		return PARENT_MALFORMED;
	if (read_user(c->trace, TRACE_DIGITS, ids->trace.at))
		return PARENT_UNREADABLE;
	c->parent.flags = 0;
	c->parent.source = PARENT_GO_LABELS;
	if (!decode_hex(c->parent.trace, c->trace, TRACE_DIGITS / 2))
		return PARENT_MALFORMED;
	return decode_span(c, spaced);
}

static __always_inline enum parent_search go_parent(__u32 scratch_id,
						    const struct context_search *c)
{
	enum parent_search found = find_labels(scratch_id);

	if (found != PARENT_FOUND)
		return found;
	for (__u32 i = 0; i < GO_LABELS_MAX && c->labels.length; i++)
		if (!next_label(scratch_id))
			return PARENT_UNREADABLE;
	return decode_ids(scratch_id);
}

#endif
