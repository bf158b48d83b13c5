//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Programs that do nothing, at the attach points of the receiver's: the cost of a hook
 * by itself.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char __license[] SEC("license") = "Dual BSD/GPL";

SEC("tracepoint/syscalls/sys_enter_getsockopt")
int tracepoint_enter(void *ctx)
{
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_getsockopt")
int tracepoint_exit(void *ctx)
{
	return 0;
}

SEC("tp_btf/sys_enter")
int raw_enter(void *ctx)
{
	return 0;
}

SEC("tp_btf/sys_exit")
int raw_exit(void *ctx)
{
	return 0;
}

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

SEC("fentry/__sys_getsockopt")
int fentry_getsockopt(void *ctx)
{
	return 0;
}

SEC("fexit/__sys_getsockopt")
int fexit_getsockopt(void *ctx)
{
	return 0;
}

SEC("kprobe/__sys_getsockopt")
int kprobe_enter(void *ctx)
{
	return 0;
}

SEC("kretprobe/__sys_getsockopt")
int kprobe_exit(void *ctx)
{
	return 0;
}
