// SPDX-License-Identifier: Apache-2.0

package sockopt

import "strconv"

// ErrorType returns the name of an error number as [ErrnoName] does, and [Other] for a
// number without a name.
func ErrorType(errno int32) string {
	if name := errnoName(errno); name != "" {
		return name
	}
	return Other
}

// ErrnoName returns the name of an error number as strace spells it: EAGAIN (not
// EWOULDBLOCK), EDEADLK, EOPNOTSUPP (not ENOTSUP). Numbers from 512 are internal to the
// kernel and should not reach a program, but some do (ENOTSUPP, 524). A number without
// a name is returned in decimal.
func ErrnoName(errno int32) string {
	if name := errnoName(errno); name != "" {
		return name
	}
	return strconv.Itoa(int(errno))
}

// errnoName returns "" for a number without a name.
func errnoName(errno int32) string {
	switch {
	case errno > 0 && int(errno) < len(errnoNames):
		return errnoNames[errno]
	case errno >= kernelErrnos && int(errno)-kernelErrnos < len(kernelErrnoNames):
		return kernelErrnoNames[errno-kernelErrnos]
	}
	return ""
}

// kernelErrnos is the first number of include/linux/errno.h.
const kernelErrnos = 512

var kernelErrnoNames = [...]string{
	0:  "ERESTARTSYS",
	1:  "ERESTARTNOINTR",
	2:  "ERESTARTNOHAND",
	3:  "ENOIOCTLCMD",
	4:  "ERESTART_RESTARTBLOCK",
	5:  "EPROBE_DEFER",
	6:  "EOPENSTALE",
	7:  "ENOPARAM",
	9:  "EBADHANDLE",
	10: "ENOTSYNC",
	11: "EBADCOOKIE",
	12: "ENOTSUPP",
	13: "ETOOSMALL",
	14: "ESERVERFAULT",
	15: "EBADTYPE",
	16: "EJUKEBOX",
	17: "EIOCBQUEUED",
	18: "ERECALLCONFLICT",
	19: "ENOGRACE",
}
