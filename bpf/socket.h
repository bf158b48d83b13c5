/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket behind a descriptor at the return of the call. After a failed connect it
 * still has the peer's address.
 */
#ifndef GETSOCKOPT_SOCKET_H
#define GETSOCKOPT_SOCKET_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "records.h"

/* The entry of a descriptor in the current task's table. A typed pointer is followed
 * with plain loads, which the kernel makes safe; another needs a helper for each. */
static __always_inline struct file **file_at(struct task_struct *task, __u32 fd)
{
	struct fdtable *table;

	if (task_storage_available) { /* then task is a typed pointer */
		table = task->files->fdt;
		return fd < table->max_fds ? &table->fd[fd] : NULL;
	}
	table = BPF_CORE_READ(task, files, fdt);
	return fd < BPF_CORE_READ(table, max_fds) ? BPF_CORE_READ(table, fd) + fd : NULL;
}

/* Gives an address a type, to follow it with plain loads (6.2). */
extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym __weak;

#define TYPED(pointer, type) ((type *)bpf_rdonly_cast(pointer, bpf_core_type_id_kernel(type)))

static __always_inline struct sock *socket_of_file(struct file *file)
{
	struct socket *socket;

	if (casts_available) {
		struct file *typed = TYPED(file, struct file);

		if ((typed->f_inode->i_mode & S_IFMT) != S_IFSOCK)
			return NULL;
		return TYPED(typed->private_data, struct socket)->sk;
	}
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	/* NULL for a socket's file that was opened with O_PATH: it is no socket. */
	socket = BPF_CORE_READ(file, private_data);
	return socket ? BPF_CORE_READ(socket, sk) : NULL;
}

/* NULL when fd is no socket. Another thread may close fd at the same time, so every
 * read here may fail and none may fault. */
static __always_inline struct sock *socket_of(struct task_struct *task, __s32 fd)
{
	struct file **at = fd < 0 ? NULL : file_at(task, fd);
	struct file *file = NULL;

	if (at && casts_available) /* list_head stands for any pointer in memory */
		file = (void *)TYPED(at, struct list_head)->next;
	else if (at)
		bpf_probe_read_kernel(&file, sizeof(file), at);
	return socket_of_file(file);
}

static __always_inline void read_unix(struct sock *sk, struct socket_endpoint *endpoint, char *path)
{
	struct unix_sock *unix_sock = (void *)sk;
	struct unix_address *address = BPF_CORE_READ(unix_sock, addr);
	__s32 length = BPF_CORE_READ(address, len) -
		       (__s32)bpf_core_field_offset(struct sockaddr_un, sun_path);

	if (!address || length <= 0)
		return;
	if (length > UNIX_PATH_LENGTH)
		length = UNIX_PATH_LENGTH;
	if (bpf_probe_read_kernel(path, length, &address->name[0].sun_path) == 0)
		endpoint->length = length;
}

/* struct sockaddr_vm of include/uapi/linux/vm_sockets.h. */
struct vsock_address {
	__u16 family;
	__u16 reserved;
	__u32 port;
	__u32 cid;
	__u32 flags;
};

/* struct vsock_sock is in a module, whose BTF may be missing. Its addresses follow the
 * sock and one pointer (since 5.5): the local one, then the peer's. */
static __always_inline void read_vsock(struct sock *sk, __u32 which, struct socket_endpoint *end)
{
	struct vsock_address address = {};
	void *at = (void *)sk + bpf_core_type_size(struct sock) + sizeof(void *) +
		   which * sizeof(address);

	if (bpf_probe_read_kernel(&address, sizeof(address), at) || address.family != AF_VSOCK ||
	    address.port == VMADDR_PORT_ANY)
		return;
	__builtin_memcpy(end->address, &address.cid, 4);
	end->port = address.port;
	end->length = 4;
}

/* The beginning of a sock up to the last field in use, copied with one helper call. Each
 * field is then a load. */
#define SOCK_BYTES (bpf_core_field_offset(struct sock_common, skc_cookie) + sizeof(__u64))

static __always_inline bool read_sock_bytes(struct sock *sk, struct sock_bytes *bytes)
{
	if (casts_available)
		return true;
	return SOCK_BYTES <= sizeof(bytes->common) &&
	       bpf_probe_read_kernel(bytes->common, SOCK_BYTES, sk) == 0;
}

#define COMMON_AT(bytes, field) \
	((void *)(bytes)->common + bpf_core_field_offset(struct sock_common, field))

/* A field of a typed sock, or of its bytes. */
#define SOCK_FIELD(sk, bytes, field)                 \
	(casts_available ? (sk)->__sk_common.field : \
			   *(typeof((sk)->__sk_common.field) *)COMMON_AT(bytes, field))

/* A raw socket keeps the protocol in skc_num, and has no ports. */
static __always_inline void read_inet_peer(struct sock *sk, const struct sock_bytes *bytes,
					   __u16 type, struct socket_endpoint *peer)
{
	__u32 address = SOCK_FIELD(sk, bytes, skc_daddr);

	if (type != SOCK_RAW)
		peer->port = bpf_ntohs(SOCK_FIELD(sk, bytes, skc_dport));
	if (address || peer->port) {
		__builtin_memcpy(peer->address, &address, 4);
		peer->length = 4;
	}
}

static __always_inline void read_inet(struct sock *sk, const struct sock_bytes *bytes,
				      struct call_record *r)
{
	__u32 local = SOCK_FIELD(sk, bytes, skc_rcv_saddr);

	if (r->type != SOCK_RAW)
		r->local.port = SOCK_FIELD(sk, bytes, skc_num);
	if (local || r->local.port) {
		__builtin_memcpy(r->local.address, &local, 4);
		r->local.length = 4;
	}
	read_inet_peer(sk, bytes, r->type, &r->peer);
}

/* Not a loop: clang 16 crashes on a relocated index that is not constant. */
#define COPY_IN6(to, sk, bytes, field)                                          \
	({                                                                      \
		((__u32 *)(to))[0] = SOCK_FIELD(sk, bytes, field.s6_addr32[0]); \
		((__u32 *)(to))[1] = SOCK_FIELD(sk, bytes, field.s6_addr32[1]); \
		((__u32 *)(to))[2] = SOCK_FIELD(sk, bytes, field.s6_addr32[2]); \
		((__u32 *)(to))[3] = SOCK_FIELD(sk, bytes, field.s6_addr32[3]); \
	})

static __always_inline bool is_zero(const __u8 *address)
{
	const __u64 *half = (const void *)address;

	return half[0] == 0 && half[1] == 0;
}

static __always_inline void read_inet6_peer(struct sock *sk, const struct sock_bytes *bytes,
					    __u16 type, struct socket_endpoint *peer)
{
	COPY_IN6(peer->address, sk, bytes, skc_v6_daddr);
	if (type != SOCK_RAW)
		peer->port = bpf_ntohs(SOCK_FIELD(sk, bytes, skc_dport));
	if (!is_zero(peer->address) || peer->port)
		peer->length = 16;
}

static __always_inline void read_inet6(struct sock *sk, const struct sock_bytes *bytes,
				       struct call_record *r)
{
	COPY_IN6(r->local.address, sk, bytes, skc_v6_rcv_saddr);
	if (r->type != SOCK_RAW)
		r->local.port = SOCK_FIELD(sk, bytes, skc_num);
	if (!is_zero(r->local.address) || r->local.port)
		r->local.length = 16;
	read_inet6_peer(sk, bytes, r->type, &r->peer);
}

static __always_inline void read_socket(struct sock *sk, const struct sock_bytes *bytes,
					__u16 family, struct call_record *r)
{
	struct net *net;

	r->flags |= CALL_SOCKET;
	r->type = casts_available ? sk->sk_type : BPF_CORE_READ(sk, sk_type);
	r->protocol = casts_available ? sk->sk_protocol : BPF_CORE_READ(sk, sk_protocol);
	r->family = family;
	r->socket_state = SOCK_FIELD(sk, bytes, skc_state);
	r->socket_cookie = SOCK_FIELD(sk, bytes, skc_cookie.counter);
	net = SOCK_FIELD(sk, bytes, skc_net.net);
	r->network_namespace = casts_available ? net->ns.inum : BPF_CORE_READ(net, ns.inum);
	switch (family) {
	case AF_INET:
		read_inet(sk, bytes, r);
		break;
	case AF_INET6:
		read_inet6(sk, bytes, r);
		break;
	case AF_VSOCK:
		read_vsock(sk, 0, &r->local);
		read_vsock(sk, 1, &r->peer);
		break;
	}
}

#endif
