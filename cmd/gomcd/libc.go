package main

// The process has two dozen threads, which call libc at the start and hardly do
// anything there. glibc would reserve 64 MiB of address space for what each of
// them allocates, and every libc as much for each stack as the limit on stacks
// is, mostly 8 MiB: more than 1 GiB, which counts where address space is limited
// (ulimit -v). It is said before the Go runtime starts its first thread.

// #define _GNU_SOURCE
// #include <pthread.h>
// #ifdef __GLIBC__
// #include <malloc.h>
// #endif
//
// __attribute__((constructor)) static void small_threads(void) {
// 	pthread_attr_t attr;
// #ifdef __GLIBC__
// 	mallopt(M_ARENA_MAX, 1);
// #endif
// 	if (pthread_attr_init(&attr) != 0)
// 		return;
// 	if (pthread_attr_setstacksize(&attr, 1 << 20) == 0)
// 		pthread_setattr_default_np(&attr);
// 	pthread_attr_destroy(&attr);
// }
import "C"
