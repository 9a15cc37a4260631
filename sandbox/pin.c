#define _GNU_SOURCE
#include "pin.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

uintptr_t pin_bytes(const void *bytes, size_t size) {
	enum { STEP = 64 << 10 }; // the largest page there is on arm64
	if (size > STEP) {
		errno = ENAMETOOLONG;
		return 0;
	}
	for (uintptr_t at = PIN_FIRST; at < PIN_END; at += STEP) {
		void *page = mmap((void *)at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (page == MAP_FAILED) {
			// EPERM: below vm.mmap_min_addr.
			if (errno == EEXIST || errno == EPERM)
				continue;
			return 0;
		}
		memcpy(page, bytes, size);
		if (mprotect(page, size, PROT_READ) != 0)
			return 0;
		return at;
	}
	return 0;
}
