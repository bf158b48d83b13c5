/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The peer of a call that returned a pending error: it can distinguish series.
 */
#ifndef GETSOCKOPT_PEER_H
#define GETSOCKOPT_PEER_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "maps.h"
#include "records.h"
#include "series.h"
#include "settings.h"
#include "socket.h"
#include "types.h"

/* A peer whose words can be hashed. */
#define PEER_WORDS (sizeof(struct socket_endpoint) / sizeof(__u64))
union peer {
	struct socket_endpoint endpoint;
	__u64 words[PEER_WORDS];
};

/* The peer that the call's span has, as far as it distinguishes series. */
static __always_inline void read_peer(struct sock *sk, const struct sock_bytes *bytes,
				      struct socket_endpoint *peer)
{
	__u16 type = casts_available ? sk->sk_type : BPF_CORE_READ(sk, sk_type);
	__u16 family = SOCK_FIELD(sk, bytes, skc_family);

	switch (family) {
	case AF_INET:
		read_inet_peer(sk, bytes, type, peer);
		break;
	case AF_INET6:
		read_inet6_peer(sk, bytes, type, peer);
		break;
	case AF_VSOCK:
		read_vsock(sk, 1, peer);
		break;
	}
	if (!(peer_parts & PEER_PORT))
		peer->port = 0;
	if (!(peer_parts & PEER_ADDRESS)) {
		__builtin_memset(peer->address, 0, sizeof(peer->address));
		peer->length = 0;
	}
	if (peer->length)
		peer->family = family;
}

/* Makes a key that of the socket's peer, if it has one. bytes is memory for the socket. Not
 * inlined: its stack is not needed any more when the call is counted. */
static __noinline void add_peer(struct series_key *key, union peer *peer, struct sock *sk,
				struct sock_bytes *bytes)
{
	__u64 hash;

	if (!sk || !read_sock_bytes(sk, bytes))
		return;
	read_peer(sk, bytes, &peer->endpoint);
	if (!peer->endpoint.length && !peer->endpoint.port)
		return;
	hash = hash_words(peer->words, PEER_WORDS);
	key->level = hash >> 32;
	key->option = hash;
	key->pending = PENDING_OF_PEER;
}

/* Counts a call that returned a pending error in the series of its peer. The peer is written
 * with each call of the series, always the same; an overflow has none. */
static __always_inline void count_at_peer(const struct running_call *call, __u32 *group,
					  struct series_cache *cache, const struct call_result *res,
					  struct sock *sk, struct sock_bytes *bytes,
					  struct counted *to)
{
	struct series_key key = key_of(call, *group, res);
	struct series_counts *counts;
	struct socket_endpoint *kept;
	union peer peer = {};

	add_peer(&key, &peer, sk, bytes);
	count_in_series(&key, group, cache, res, to);
	counts = counts_of(cache->series);
	if (key.pending != PENDING_OF_PEER || !counts || !same_key(&counts->key, &key))
		return;
	kept = bpf_map_lookup_elem(&series_peers, &cache->series);
	if (kept)
		*kept = peer.endpoint;
}

#endif
