#define _GNU_SOURCE
#include "libc.h"

#include <link.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

// close_relro makes read-only what the program needs to write only when it is
// loaded. Musl leaves that writable in a static binary.
static int close_relro(struct dl_phdr_info *info, size_t size, void *arg) {
	(void)size, (void)arg;
	uintptr_t page = sysconf(_SC_PAGESIZE);
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + p->p_vaddr) & -page;
		uintptr_t to = (info->dlpi_addr + p->p_vaddr + p->p_memsz) & -page;
		if (p->p_type == PT_GNU_RELRO && to > from)
			mprotect((void *)from, to - from, PROT_READ);
	}
	return 1; // the program comes first
}

// drop_pages unmaps the pages of a loaded file that are as they are in the file: those of
// segments that were never writable, to which no relocation was applied.
static int drop_pages(struct dl_phdr_info *info, size_t size, void *arg) {
	(void)size, (void)arg;
	uintptr_t page = sysconf(_SC_PAGESIZE);
	if (info->dlpi_addr == getauxval(AT_SYSINFO_EHDR))
		return 0; // the vDSO is no file
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + p->p_vaddr + page - 1) & -page;
		uintptr_t to = (info->dlpi_addr + p->p_vaddr + p->p_memsz) & -page;
		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W) && to > from)
			madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

void libc_drop_pages(void) {
	dl_iterate_phdr(drop_pages, NULL);
}

// The Go runtime starts its threads with libc, which allocates a little for
// each. glibc gives each thread an arena of its own, and when there are more
// than eight it counts the processors, for which it opens a file (malloc/
// arena.c, arena_get2). With a limit on arenas it does not; and with enough
// set aside, kept and not given back, the heap never has to grow by brk(2).
void libc_prepare(void) {
	dl_iterate_phdr(close_relro, NULL);
#ifdef __GLIBC__
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 1 << 20);
#endif
	// Not from the regions that are mapped for large sizes alone.
	enum { BLOCKS = 32, SIZE = 32 << 10 };
	void *blocks[BLOCKS];
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = malloc(SIZE);
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}
