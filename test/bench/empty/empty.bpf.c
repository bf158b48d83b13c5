//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Programs at the attach points of the receiver's. One of each pair does nothing: the
 * cost of a hook by itself. The other reads the clock, as whoever measures a duration
 * must: the limit of what a pair can cost.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char __license[] SEC("license") = "Dual BSD/GPL";

#define EMPTY_AND_CLOCK(name, section) \
	SEC(section)                   \
	int name(void *ctx)            \
	{                              \
		return 0;              \
	}                              \
                                       \
	SEC(section)                   \
	int name##_clock(void *ctx)    \
	{                              \
		bpf_ktime_get_ns();    \
		return 0;              \
	}

EMPTY_AND_CLOCK(tracepoint_enter, "tracepoint/syscalls/sys_enter_getsockopt")
EMPTY_AND_CLOCK(tracepoint_exit, "tracepoint/syscalls/sys_exit_getsockopt")
EMPTY_AND_CLOCK(raw_enter, "tp_btf/sys_enter")
EMPTY_AND_CLOCK(raw_exit, "tp_btf/sys_exit")
EMPTY_AND_CLOCK(fentry_getsockopt, "fentry/__sys_getsockopt")
EMPTY_AND_CLOCK(fexit_getsockopt, "fexit/__sys_getsockopt")
EMPTY_AND_CLOCK(kprobe_enter, "kprobe/__sys_getsockopt")
EMPTY_AND_CLOCK(kprobe_exit, "kretprobe/__sys_getsockopt")

SEC("tp_btf/io_uring_submit_req")
int io_uring_submit(void *ctx)
{
	return 0;
}

SEC("tp_btf/io_uring_complete")
int io_uring_complete(void *ctx)
{
	return 0;
}

/* Run on request, to time a reading. */
#define CLOCK_READINGS 100

SEC("socket")
int clock_readings(void *ctx)
{
#pragma unroll
	for (int i = 0; i < CLOCK_READINGS; i++)
		bpf_ktime_get_ns();
	return 0;
}
