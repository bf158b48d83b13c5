// SPDX-License-Identifier: Apache-2.0
//
// Memory whose faults wait for an answer that never comes, as that of FUSE may.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// include/uapi/linux/userfaultfd.h, which musl does not have
struct uffd_api {
	uint64_t api, features, ioctls;
};

struct uffd_register {
	uint64_t start, length, mode, ioctls;
};

#define UFFD_ASK _IOWR(0xaa, 0x3f, struct uffd_api)
#define UFFD_REGISTER _IOWR(0xaa, 0x00, struct uffd_register)

static void *blocked_page(unsigned long size)
{
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffd_register range = { (uintptr_t)page, size, 1 /* missing */, 0 };
	struct uffd_api api = { .api = 0xaa };
	int file = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (file < 0 || page == MAP_FAILED || ioctl(file, UFFD_ASK, &api) ||
	    ioctl(file, UFFD_REGISTER, &range)) {
		perror("make a page that blocks");
		exit(1);
	}
	return page;
}
