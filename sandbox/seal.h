#ifndef GOMCD_SANDBOX_SEAL_H
#define GOMCD_SANDBOX_SEAL_H

#include <linux/filter.h>

// SEAL_SIGNAL is the signal by which the boot has a thread without a role seal
// itself: the last one, which neither libc nor the Go runtime has a use for.
enum { SEAL_SIGNAL = 64 };

// seal_init installs the handler of the signal, for the process pid, and keeps
// a copy of the program that it is to install. It returns 0 or errno.
int seal_init(const struct sock_filter *code, int length, int pid);
// seal_open says whether a signal has any effect.
void seal_open(int open);
// seal_error is the errno of a thread that could not install the program, or 0.
int seal_error(void);

#endif
