/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * io_uring's getsockopt (SOCKET_URING_OP_GETSOCKOPT, 6.7): SOL_SOCKET only. It
 * passes no system call hook, may finish on a kernel worker thread, and gives
 * the length back as its result. The submitter is who asked for it.
 */
#ifndef GETSOCKOPT_IOURING_H
#define GETSOCKOPT_IOURING_H

/* include/uapi/linux/io_uring.h */
#define IORING_OP_URING_CMD 46
#define SOCKET_URING_OP_GETSOCKOPT 2
#define IOSQE_FIXED_FILE 1

struct getsockopt_sqe {
	__u8 opcode;
	__u8 flags;
	__u16 ioprio;
	__s32 fd;
	__u64 cmd_op;
	__u32 level;
	__u32 option;
	__u32 length;
	__u32 cmd_flags;
	__u64 user_data;
	__u32 buffer;
	__u32 option_length;
	__u64 value;
};

static __always_inline void request_submitted(struct io_kiocb *req)
{
	struct io_uring_cmd *command = (void *)req;
	struct getsockopt_sqe sqe = {};
	struct request request = {};
	struct task_struct *task;
	__u64 key = (__u64)req;
	struct thread *t;

	if (BPF_CORE_READ(command, cmd_op) != SOCKET_URING_OP_GETSOCKOPT ||
	    bpf_probe_read_kernel(&sqe, sizeof(sqe), BPF_CORE_READ(command, sqe)))
		return;
	/* Other files have commands of the same number. The request has no file
	 * yet (since 5.19); one from the ring's own table is looked at when it is
	 * completed. */
	task = current_task();
	if (!(sqe.flags & IOSQE_FIXED_FILE) && !socket_of(task, sqe.fd))
		return;
	if (is_receiver(task)) {
		COUNT(seen);
		COUNT(filtered);
		return;
	}
	t = thread_enter(task);
	if (!t || !find_process(task, t)) {
		COUNT(seen);
		COUNT(no_storage);
		return;
	}
	if (ruled_subjects && !call_selected(task, t, sqe.level, sqe.option)) {
		COUNT(seen);
		COUNT(filtered);
		return;
	}
	if (spans_enabled)
		request.announced = announce_once(t);
	request.call.fd = sqe.fd;
	request.call.level = sqe.level;
	request.call.option = sqe.option;
	request.call.value = sqe.value;
	request.call.length_in = sqe.option_length;
	request.call.flags = CALL_LENGTH_IN;
	if (sqe.flags & IOSQE_FIXED_FILE)
		request.call.flags |= CALL_NO_FD;
	request.call.entry = ENTRY_IO_URING;
	request.origin = origin_of(task, t);
	request.call.start = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&requests, &key, &request, BPF_NOEXIST) == 0) {
		__sync_fetch_and_add(&requests_running, 1);
		return;
	}
	/* A request that completed without a completion event left its entry
	 * (IOSQE_CQE_SKIP_SUCCESS), and its memory is used again. */
	COUNT(seen);
	if (bpf_map_update_elem(&requests, &key, &request, BPF_EXIST) == 0)
		COUNT(no_exit);
	else
		COUNT(no_storage);
}

static __always_inline void request_completed(struct io_kiocb *req)
{
	struct outcome o = { .duration = bpf_ktime_get_ns() };
	struct returned memory = {};
	struct slot_cache cache = {};
	__u64 at = (__u64)req;
	struct request request;
	struct request *known;
	struct series_key key;
	struct decision decision;
	struct sock *sk;

	known = bpf_map_lookup_elem(&requests, &at);
	if (!known)
		return;
	request = *known;
	bpf_map_delete_elem(&requests, &at);
	__sync_fetch_and_add(&requests_running, -1);
	sk = socket_of_file(BPF_CORE_READ(req, file));
	if (!sk)
		return;
	COUNT(seen);
	o.duration -= request.call.start;
	o.result = BPF_CORE_READ(req, cqe.res);
	if (o.result >= 0) {
		memory.length = o.result;
		memory.length_known = true;
		if (is_so_error(&request.call))
			o.pending = pending_error(&request.call, &memory);
	}
	key = key_of(&request.call, request.origin.group, &o);
	count_call(&cache, &key, o.duration);
	if (!spans_enabled || !keep_call(class_of(&o), &decision))
		return;
	if (!request.announced) {
		COUNT(ring_full);
		return;
	}
	emit(&request.call, &request.origin, &o, &memory, &decision,
	     may_copy(&cache, &request.call, &o), sk);
}

#endif
