#define _GNU_SOURCE
#include "seal.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// At the end of the boot every thread without a role installs one more filter,
// the seal. The kernel puts a filter on all threads only while they have the
// same ones, and by then roles differ; so each of these threads installs it
// itself, in a signal handler. Nothing here is Go's: a Go thread may be anywhere
// when the signal reaches it.

static struct sock_fprog program;
static int own_pid;
static int opened, failure;

static __thread int sealed; // this thread has installed the program

static void on_seal(int sig, siginfo_t *si, void *ctx) {
	int saved = errno;
	(void)sig, (void)ctx;
	// Who else sends this signal to the server achieves nothing.
	if (!__atomic_load_n(&opened, __ATOMIC_ACQUIRE) || sealed || si->si_code != SI_TKILL || si->si_pid != own_pid)
		return;
	sealed = 1;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		__atomic_store_n(&failure, errno, __ATOMIC_RELEASE);
	errno = saved;
}

// A process may be started with the signal blocked. Here there is one thread,
// before the Go runtime, whose threads take over its mask.
__attribute__((constructor)) static void unblock(void) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SEAL_SIGNAL);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int seal_init(const struct sock_filter *code, int length, int pid) {
	struct sock_filter *copy = malloc(sizeof *copy * length);
	struct sigaction sa = {0};
	if (copy == NULL)
		return ENOMEM;
	memcpy(copy, code, sizeof *copy * length);
	program.filter = copy, program.len = length, own_pid = pid;
	sa.sa_sigaction = on_seal;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	sigfillset(&sa.sa_mask);
	return sigaction(SEAL_SIGNAL, &sa, NULL) == 0 ? 0 : errno;
}

void seal_open(int open) { __atomic_store_n(&opened, open, __ATOMIC_RELEASE); }

int seal_error(void) { return __atomic_load_n(&failure, __ATOMIC_ACQUIRE); }
