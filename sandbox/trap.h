#ifndef GOMCD_SANDBOX_TRAP_H
#define GOMCD_SANDBOX_TRAP_H

#include <stdint.h>
#include <linux/filter.h>

enum { MAX_THREADS = 1024, MAX_CALLS = 512, NAME_SIZE = 32, PREFIX_SIZE = 8 };

// trap_init installs the SIGSYS handler. program begins the line that reports
// a violation, on stderr behind prefix, of which PREFIX_SIZE - 1 bytes count;
// syslog_fd, if not negative, gets the line as well.
int trap_init(const char *program, const char *prefix, int syslog_fd);
// trap_role notes what the calling thread is: index is its place in the table,
// below MAX_THREADS and not 0. audit says that its forbidden calls are counted
// and made. trap_default is the same for all threads without a role.
void trap_role(int index, const char *role, const char *name, int audit);
void trap_default(const char *role, int audit);
// trap_name notes the name of a call.
void trap_name(int nr, const char *name);
// trap_reporter starts the thread that reports violations; trap_confine has
// it install its filter, and waits until that is done. Both return 0 or errno.
int trap_reporter(void);
int trap_confine(struct sock_filter *code, int length);
// trap_counts is the table of forbidden calls that were made, MAX_CALLS for
// each thread.
uint64_t *trap_counts(void);
// trap_doze waits for some microseconds.
void trap_doze(int us);
// trap_again makes a call from the address trap_trampoline.
long trap_again(long nr, long a, long b, long c, long d, long e, long f);
uintptr_t trap_trampoline(void);

#endif
