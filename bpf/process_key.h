/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The key of a process image, from one of its tasks. */
#ifndef GETSOCKOPT_PROCESS_KEY_H
#define GETSOCKOPT_PROCESS_KEY_H

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "records.h"

static __always_inline struct process_key key_of_process(struct task_struct *task)
{
	struct process_key key = {
		.start = BPF_CORE_READ(task, group_leader, start_boottime),
		.pid = BPF_CORE_READ(task, tgid),
		.exec_id = BPF_CORE_READ(task, self_exec_id),
	};

	return key;
}

#endif
