/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel types that the programs read, with the fields that they read. CO-RE
 * relocates the fields when the programs are loaded, on 5.10 and later.
 *
 * Not vmlinux.h: it has more than a hundred thousand lines, and those of one kernel
 * only. This file lists the fields on which the programs depend, and where kernels differ.
 *
 * To add a field, copy its name and its type from the kernel's header into its
 * struct, between the pragmas; order and size of the others do not matter. If any
 * kernel since 5.10 lacks it, test it with bpf_core_field_exists(). If one has it
 * under another name or type, add a struct with a suffix after three underscores,
 * which CO-RE ignores.
 */
#ifndef GETSOCKOPT_KERNEL_H
#define GETSOCKOPT_KERNEL_H

#include <linux/types.h>

/* This file stands in for vmlinux.h: with it, bpf_tracing.h takes the kernel's names
 * of the registers and not those of the user API. */
#define __VMLINUX_H__

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head {
	struct list_head *next;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct net {
	struct ns_common ns;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
};

struct timens_offsets {
	struct timespec64 monotonic;
	struct timespec64 boottime;
};

struct time_namespace {
	struct timens_offsets offsets;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
	struct time_namespace *time_ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

/* The kernel's enum pid_type, since 4.19. */
#define PIDTYPE_TGID 1
#define PIDTYPE_MAX 4

#define MAX_PID_NS_LEVEL 32 /* include/linux/pid_namespace.h */

struct pid {
	unsigned int level;
	struct hlist_head tasks[PIDTYPE_MAX];
	struct upid numbers[1];
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads that have not begun to exit */
	struct pid *pids[PIDTYPE_MAX];
};

typedef struct {
	unsigned int val;
} kuid_t;

struct cred {
	kuid_t uid;
	kuid_t euid;
};

struct qstr {
	const unsigned char *name;
};

struct inode {
	unsigned short i_mode;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long env_start;
	unsigned long env_end;
	struct file *exe_file;
};

struct kernfs_iattrs {
	kuid_t ia_uid;
};

struct kernfs_node {
	atomic_t count; /* 0: freed */
	struct kernfs_node *parent;
	const char *name;
	__u64 id;
	struct kernfs_iattrs *iattr; /* NULL: root's, with the default mode */
};

/* 6.15 renamed parent when it came under RCU. */
struct kernfs_node___rcu {
	struct kernfs_node *__parent;
};

struct cgroup_root {
	int hierarchy_id; /* 0 is cgroup v2 */
	char name[64];    /* of a hierarchy of v1 that has one */
};

struct cgroup {
	int level; /* 0 is the root */
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct css_set {
	struct list_head cgrp_links;
};

struct cgrp_cset_link {
	struct cgroup *cgrp;
	struct list_head cgrp_link;
};

struct thread_info {
	unsigned long flags;
	unsigned int status; /* x86: TS_COMPAT */
};

/* CONFIG_SECCOMP */
struct seccomp {
	int mode; /* enum seccomp_mode */
};

/* The thread pointer of user space, as of the last time that the kernel set or saved it. */
#if defined(__TARGET_ARCH_x86)
struct thread_struct {
	unsigned long fsbase;
};
#elif defined(__TARGET_ARCH_arm64)
struct thread_struct {
	struct {
		unsigned long tp_value;
	} uw;
};
#endif

struct task_struct {
	struct thread_info thread_info;
	struct thread_struct thread;
	void *stack;
	struct mm_struct *mm;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_boottime;
	const struct cred *real_cred; /* its own; cred may be overridden for a time */
	const struct cred *cred;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct pid *thread_pid;
	struct hlist_node pid_links[PIDTYPE_MAX];
	__u64 self_exec_id;
	struct css_set *cgroups;
	struct seccomp seccomp;
};

struct in6_addr {
	union {
		__u32 u6_addr32[4];
	} in6_u;
};
#define s6_addr32 in6_u.u6_addr32

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct sock_common {
	unsigned int skc_daddr;
	unsigned int skc_rcv_saddr;
	unsigned short skc_dport; /* network byte order */
	unsigned short skc_num;   /* host byte order */
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};

struct sock {
	struct sock_common __sk_common;
	unsigned short sk_type;
	unsigned short sk_protocol;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

struct sockaddr_un {
	char sun_path[108];
};

struct unix_address {
	int len; /* of the sockaddr_un */
	struct sockaddr_un name[0];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct io_cqe {
	__u64 user_data;
	__s32 res;
};

struct io_wq_work_node {
	struct io_wq_work_node *next;
};

struct io_wq_work_list {
	struct io_wq_work_node *last;
};

struct io_kiocb;

struct io_submit_link {
	struct io_kiocb *head;
};

struct io_submit_state {
	struct io_wq_work_list compl_reqs; /* ended, and not yet freed */
	struct io_submit_link link;        /* the chain that is being submitted */
};

struct io_ring_ctx {
	unsigned int flags;
	struct io_submit_state submit_state;
};

struct io_uring_task {
	struct task_struct *task;
};

struct io_kiocb {
	struct file *file;
	__u8 opcode;
	__u32 flags; /* the lower half of 64 bits since 6.8 */
	struct io_cqe cqe;
	struct io_ring_ctx *ctx;
	struct io_uring_task *tctx;
	struct io_wq_work_node comp_list;
};

/* Before 6.13 a request names its submitter directly. */
struct io_kiocb___task {
	struct task_struct *task;
};

/* The command of an IORING_OP_URING_CMD request. It lies at the beginning of the
 * io_kiocb: the first member of both is the file. */
struct io_uring_cmd {
	const void *sqe;
	__u32 cmd_op;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

/* The context of a program that iterates over tasks. */
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r14;
	unsigned long r10;
	unsigned long r8;
	unsigned long bx;
	unsigned long ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 orig_x0;
	int syscallno;
};
#endif

#pragma clang attribute pop

#if defined(__TARGET_ARCH_arm64)
/* The beginning of pt_regs, to which bpf_tracing.h casts it. Its layout is part of
 * the user API (arch/arm64/include/uapi/asm/ptrace.h), so it needs no relocation. */
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};
#endif

/* include/linux/socket.h */
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_VSOCK 40
#define SOCK_RAW 3
#define VMADDR_PORT_ANY (~0U) /* include/uapi/linux/vm_sockets.h */

/* include/uapi/asm-generic/socket.h, the same on the architectures built for */
#define SOL_SOCKET 1
#define SO_ERROR 4

/* include/uapi/asm-generic/errno-base.h and errno.h */
#define EAGAIN 11
#define EBUSY 16
#define ECANCELED 125

/* include/uapi/linux/seccomp.h. The kernel's own SECCOMP_MODE_DEAD, of a task that a
 * filter kills, comes after it (5.17). */
#define SECCOMP_MODE_FILTER 2

/* include/uapi/linux/stat.h */
#define S_IFMT 0170000
#define S_IFSOCK 0140000

/* include/asm-generic/rwonce.h: one access, neither split nor repeated, to memory that
 * other CPUs and user space access at the same time. */
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))

#endif
