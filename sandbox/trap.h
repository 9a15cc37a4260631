#ifndef GOMCD_SANDBOX_TRAP_H
#define GOMCD_SANDBOX_TRAP_H

#include <stdint.h>
#include <linux/filter.h>

enum { MAX_THREADS = 1024, MAX_CALLS = 512, NAME_SIZE = 32 };

// trap_init installs the SIGSYS handler. audit says which kinds of thread let
// a call through.
int trap_init(int syslog_fd);
// trap_role notes what the calling thread is, for reports: index is its place
// in the table, 0 for a thread without a role.
void trap_role(int index, const char *role, const char *name, int audit);
void trap_default(const char *role, int audit);
void trap_name(int nr, const char *name);
// trap_reporter starts the thread that tells of violations; trap_confine has
// it install its filter, and waits until that is done. Both return 0 or errno.
int trap_reporter(void);
int trap_confine(struct sock_filter *code, int length);
uint64_t trap_count(int index, int nr);
uintptr_t trap_trampoline(void);

#endif
