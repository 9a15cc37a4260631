#include "libc.h"

#include <malloc.h>
#include <stdlib.h>

// The Go runtime starts its threads with libc, which allocates a little for
// each. glibc gives each thread an arena of its own, and when there are more
// than eight it counts the processors, for which it opens a file (malloc/
// arena.c, arena_get2). With a limit on arenas it does not; and with enough
// set aside, kept and not given back, the heap never has to grow by brk(2).
void libc_prepare(void) {
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
