/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System call numbers and registers, by architecture. 32-bit programs on a
 * 64-bit kernel use other numbers, and on x86 also socketcall.
 */
#ifndef GETSOCKOPT_ARCH_H
#define GETSOCKOPT_ARCH_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "records.h"

#define NR_IO_URING_ENTER 426 /* on every architecture, for 32-bit programs too */

struct call_arguments {
	__s32 fd;
	__s32 level;
	__s32 option;
	__u64 value;
	__u64 length;
};

#if defined(__TARGET_ARCH_x86)

#define NR_GETSOCKOPT 55
#define NR_GETSOCKOPT_COMPAT 365 /* since 4.3 */
#define NR_SOCKETCALL 102
#define SYS_GETSOCKOPT 15 /* include/uapi/linux/net.h */
#define TS_COMPAT 2       /* arch/x86/include/asm/thread_info.h */

static __always_inline bool is_getsockopt(__s64 number)
{
	return number == NR_GETSOCKOPT || number == NR_GETSOCKOPT_COMPAT || number == NR_SOCKETCALL;
}

static __always_inline bool is_compat(void)
{
	struct task_struct *task;

	if (task_storage_available) /* bpf_get_current_task_btf is as old */
		return bpf_get_current_task_btf()->thread_info.status & TS_COMPAT;
	task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
}

static __always_inline __s64 number_of(struct pt_regs *regs)
{
	return regs->orig_ax;
}

/* The entry point of a system call, or -1: 32-bit programs use the numbers for other
 * calls. At exit the argument registers still are those of the entry. */
static __always_inline int entry_of(struct pt_regs *regs, __s64 number)
{
	if (!is_compat())
		return number == NR_GETSOCKOPT ? ENTRY_SYSCALL : -1;
	if (number == NR_GETSOCKOPT_COMPAT)
		return ENTRY_SYSCALL_COMPAT;
	if (number == NR_SOCKETCALL && (__u32)regs->bx == SYS_GETSOCKOPT)
		return ENTRY_SOCKETCALL;
	return -1;
}

/* False when socketcall's arguments lie in a page that is not resident. Such a call
 * is counted at its return, as one without an entry. */
static __always_inline bool read_arguments(struct pt_regs *regs, int entry,
					   struct call_arguments *a)
{
	__u32 args[5];

	switch (entry) {
	case ENTRY_SYSCALL:
		a->fd = regs->di;
		a->level = regs->si;
		a->option = regs->dx;
		a->value = regs->r10;
		a->length = regs->r8;
		return true;
	case ENTRY_SYSCALL_COMPAT:
		a->fd = regs->bx;
		a->level = regs->cx;
		a->option = regs->dx;
		a->value = (__u32)regs->si;
		a->length = (__u32)regs->di;
		return true;
	default:
		if (bpf_probe_read_user(args, sizeof(args), (void *)(__u64)(__u32)regs->cx))
			return false;
		a->fd = args[0];
		a->level = args[1];
		a->option = args[2];
		a->value = args[3];
		a->length = args[4];
		return true;
	}
}

/* THREAD_SIZE of arch/x86/include/asm/page_64_types.h, without KASAN. */
#define KERNEL_STACK_SIZE 16384

/* Before 5.15 there is no helper: the registers lie at the top of the kernel stack.
 * Newer kernels may keep a few bytes above them (CONFIG_X86_FRED, 6.9). */
static __always_inline struct pt_regs *current_registers(void)
{
	struct task_struct *task;

	if (task_registers_available)
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, stack) + KERNEL_STACK_SIZE - bpf_core_type_size(struct pt_regs);
}

/* The register in which Go keeps the running goroutine. */
static __always_inline __u64 goroutine_register(void)
{
	return BPF_CORE_READ(current_registers(), r14);
}

static __always_inline __u64 thread_pointer(struct task_struct *task)
{
	return BPF_CORE_READ(task, thread.fsbase);
}

/* The argument of a TLS descriptor is the distance of the variable from the thread
 * pointer, or an address, which may be a low one. Variables are below the thread pointer,
 * and what it points to is no variable: as a context it might look valid. */
static __always_inline bool is_distance(__s64 argument)
{
	return argument < 0;
}

static __always_inline __u8 entry_of_current(void)
{
	if (!is_compat())
		return ENTRY_SYSCALL;
	return BPF_CORE_READ(current_registers(), orig_ax) == NR_SOCKETCALL ? ENTRY_SOCKETCALL :
									      ENTRY_SYSCALL_COMPAT;
}

#elif defined(__TARGET_ARCH_arm64)

#define NR_GETSOCKOPT 209
#define NR_GETSOCKOPT_COMPAT 295 /* arch/arm64/include/asm/unistd32.h */
#define TIF_32BIT 22             /* arch/arm64/include/asm/thread_info.h */

static __always_inline bool is_getsockopt(__s64 number)
{
	return number == NR_GETSOCKOPT || number == NR_GETSOCKOPT_COMPAT;
}

static __always_inline bool is_compat(void)
{
	struct task_struct *task;

	if (task_storage_available) /* bpf_get_current_task_btf is as old */
		return bpf_get_current_task_btf()->thread_info.flags & (1UL << TIF_32BIT);
	task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, thread_info.flags) & (1UL << TIF_32BIT);
}

static __always_inline __s64 number_of(struct pt_regs *regs)
{
	return regs->syscallno;
}

static __always_inline int entry_of(struct pt_regs *regs, __s64 number)
{
	if (is_compat())
		return number == NR_GETSOCKOPT_COMPAT ? ENTRY_SYSCALL_COMPAT : -1;
	return number == NR_GETSOCKOPT ? ENTRY_SYSCALL : -1;
}

static __always_inline bool read_arguments(struct pt_regs *regs, int entry,
					   struct call_arguments *a)
{
	a->fd = regs->orig_x0;
	a->level = regs->regs[1];
	a->option = regs->regs[2];
	a->value = regs->regs[3];
	a->length = regs->regs[4];
	return true;
}

/* The register in which Go keeps the running goroutine. Before 5.15 there is no helper,
 * and where the registers lie depends on the size of a page. */
static __always_inline __u64 goroutine_register(void)
{
	struct pt_regs *regs;

	if (!task_registers_available)
		return 0;
	regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return BPF_CORE_READ(regs, regs[28]);
}

static __always_inline __u64 thread_pointer(struct task_struct *task)
{
	return BPF_CORE_READ(task, thread.uw.tp_value);
}

/* The argument of a TLS descriptor is the distance of the variable from the thread
 * pointer, or an address. Variables are after the two words that the thread pointer points
 * to, and linkers put no program below 4 MiB. */
static __always_inline bool is_distance(__s64 argument)
{
	return argument >= 16 && argument < 4 << 20;
}

static __always_inline __u8 entry_of_current(void)
{
	return is_compat() ? ENTRY_SYSCALL_COMPAT : ENTRY_SYSCALL;
}

#endif

#endif
