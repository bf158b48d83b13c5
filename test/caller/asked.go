// SPDX-License-Identifier: Apache-2.0

package caller

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Asked makes n calls for each byte of its input.
func Asked(n int) {
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	var value int32
	for asked := make([]byte, 1); ; {
		if _, err := os.Stdin.Read(asked); err != nil {
			return
		}
		for range n {
			get(fd, unix.SOL_SOCKET, unix.SO_TYPE, unsafe.Pointer(&value))
		}
	}
}
