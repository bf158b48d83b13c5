// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// answer is the action of a seccomp filter on getsockopt, and the result for the caller.
type answer struct {
	action uint32 // SECCOMP_RET_*
	reply  notificationReply
	errno  unix.Errno
}

var answers = map[string]answer{
	"seccomp-errno": {action: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM), errno: unix.EPERM},
	// The call returns 0, and has not run.
	"seccomp-errno-0": {action: unix.SECCOMP_RET_ERRNO},
	// Without a tracer.
	"seccomp-trace":           {action: unix.SECCOMP_RET_TRACE, errno: unix.ENOSYS},
	"seccomp-notify":          {action: unix.SECCOMP_RET_USER_NOTIF, reply: notificationReply{error: -int32(unix.EACCES)}, errno: unix.EACCES},
	"seccomp-notify-0":        {action: unix.SECCOMP_RET_USER_NOTIF},
	"seccomp-notify-continue": {action: unix.SECCOMP_RET_USER_NOTIF, reply: notificationReply{flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}},
	"seccomp-kill":            {action: unix.SECCOMP_RET_KILL_PROCESS},
}

// notification and notificationReply are struct seccomp_notif and
// seccomp_notif_resp of include/uapi/linux/seccomp.h.
type notification struct {
	id   uint64
	rest [72]byte
}

type notificationReply struct {
	id    uint64
	value int64
	error int32
	flags uint32
}

// Seccomp makes a call, installs a filter for its thread, and makes n calls that the filter
// answers.
func Seccomp(a answer, n int) {
	runtime.LockOSThread() // the filter applies to this thread only
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	if errno := typeOf(fd); errno != 0 {
		fatal("getsockopt: %v", errno)
	}
	listener := Filter(a.action, unix.SYS_GETSOCKOPT)
	if a.action == unix.SECCOMP_RET_USER_NOTIF {
		go supervise(listener, a.reply)
	}
	for range n {
		if errno := typeOf(fd); errno != a.errno {
			fatal("getsockopt under the filter: %v, want %v", errno, a.errno)
		}
	}
}

func typeOf(fd uintptr) unix.Errno {
	var value int32
	length := int32(4)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_TYPE,
		uintptr(unsafe.Pointer(&value)), uintptr(unsafe.Pointer(&length)), 0)
	return errno
}

// Filter installs a seccomp filter for the calling thread, which applies action to one
// system call, or to one command of it, which is its first argument. It returns the
// descriptor of the notifications if the action is SECCOMP_RET_USER_NOTIF.
func Filter(action, number uint32, command ...uint32) uintptr {
	const numberAt, firstAt = 0, 16 // in struct seccomp_data, little-endian
	var filter []unix.SockFilter
	unless := func(at, is uint32) {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: is, Jt: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	}
	unless(numberAt, number)
	for _, c := range command {
		unless(firstAt, c)
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	var flags uintptr
	if action == unix.SECCOMP_RET_USER_NOTIF {
		flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		fatal("no_new_privs: %v", err)
	}
	listener, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		fatal("seccomp: %v", errno)
	}
	return listener
}

func supervise(listener uintptr, reply notificationReply) {
	for {
		var asked notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, listener, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&asked))); errno != 0 {
			fatal("receive a notification of seccomp: %v", errno)
		}
		reply.id = asked.id
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, listener, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&reply))); errno != 0 {
			fatal("answer a notification of seccomp: %v", errno)
		}
	}
}
