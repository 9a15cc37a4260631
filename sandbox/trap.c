#define _GNU_SOURCE
#include "trap.h"

#include <errno.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

// The SIGSYS handler runs on the thread that made the forbidden call, inside
// that thread's filter. It stores the facts, wakes the reporter and waits; the
// reporter, a plain thread with a profile of its own, tells and ends the
// process. Nothing here is Go's: a Go thread may be anywhere when it is
// caught.

static struct {
	char role[NAME_SIZE];
	char name[NAME_SIZE];
	int tid;
	int audit;
} threads[MAX_THREADS];

static char call_names[MAX_CALLS][NAME_SIZE];
static uint64_t counts[MAX_THREADS][MAX_CALLS];

static __thread int self; // place of this thread in threads, 0 without a role

static struct {
	uint32_t state; // 0: none, 1: being written, 2: written
	int thread, tid, nr;
	unsigned arch;
	uint64_t args[6];
	uintptr_t ip;
} report;

static uintptr_t code_base, code_start, code_end; // of the program, which is loaded anywhere
static char program[NAME_SIZE];
static char line_prefix[PREFIX_SIZE];
static int syslog_fd = -1;
static uint32_t named; // 1: the reporter has its name
static uint32_t bell;  // counts what there is for the reporter to do
static uint32_t confine_state; // 0: not yet, 1: asked to, 2: done
static struct sock_filter *confine_code;
static int confine_length, confine_error;

static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *timeout) {
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

// ring wakes the reporter.
static void ring(void) {
	__atomic_fetch_add(&bell, 1, __ATOMIC_RELEASE);
	futex(&bell, FUTEX_WAKE, 1, NULL);
}

// trap_again makes a call from the one place that audit filters let through.
// The kernel's idea of where a call comes from is the address behind it.

#if defined(__x86_64__)
__asm__(
	".text\n"
	".globl trap_again\n"
	".type trap_again,@function\n"
	"trap_again:\n"
	"  mov %rdi, %rax\n"
	"  mov %rsi, %rdi\n"
	"  mov %rdx, %rsi\n"
	"  mov %rcx, %rdx\n"
	"  mov %r8, %r10\n"
	"  mov %r9, %r8\n"
	"  mov 8(%rsp), %r9\n"
	"  syscall\n"
	".globl trap_again_ip\n"
	"trap_again_ip:\n"
	"  ret\n"
	".size trap_again,.-trap_again\n");

static void facts(ucontext_t *uc, uint64_t *args) {
	greg_t *r = uc->uc_mcontext.gregs;
	args[0] = r[REG_RDI], args[1] = r[REG_RSI], args[2] = r[REG_RDX];
	args[3] = r[REG_R10], args[4] = r[REG_R8], args[5] = r[REG_R9];
}

static void answer(ucontext_t *uc, long result) { uc->uc_mcontext.gregs[REG_RAX] = result; }
#elif defined(__aarch64__)
__asm__(
	".text\n"
	".globl trap_again\n"
	".type trap_again,%function\n"
	"trap_again:\n"
	"  mov x8, x0\n"
	"  mov x0, x1\n"
	"  mov x1, x2\n"
	"  mov x2, x3\n"
	"  mov x3, x4\n"
	"  mov x4, x5\n"
	"  mov x5, x6\n"
	"  svc #0\n"
	".globl trap_again_ip\n"
	"trap_again_ip:\n"
	"  ret\n"
	".size trap_again,.-trap_again\n");

static void facts(ucontext_t *uc, uint64_t *args) {
	for (int i = 0; i < 6; i++)
		args[i] = uc->uc_mcontext.regs[i];
}

static void answer(ucontext_t *uc, long result) { uc->uc_mcontext.regs[0] = result; }
#else
#error "the sandbox knows amd64 and arm64"
#endif

extern char trap_again_ip[];

uintptr_t trap_trampoline(void) { return (uintptr_t)trap_again_ip; }

// change_mask is rt_sigprocmask(2) for the interrupted code: a handler has a
// mask of its own, and what it changes there is lost when it returns.
static long change_mask(ucontext_t *uc, const uint64_t *args) {
	uint64_t was, set;
	memcpy(&was, &uc->uc_sigmask, sizeof was);
	if (args[3] != sizeof was)
		return -EINVAL;
	if (args[1] != 0) {
		memcpy(&set, (void *)args[1], sizeof set);
		switch (args[0]) {
		case SIG_BLOCK: set = was | set; break;
		case SIG_UNBLOCK: set = was & ~set; break;
		case SIG_SETMASK: break;
		default: return -EINVAL;
		}
		memcpy(&uc->uc_sigmask, &set, sizeof set);
	}
	if (args[2] != 0)
		memcpy((void *)args[2], &was, sizeof was);
	return 0;
}

// allow_once makes a forbidden call after all, for audit. What would come back
// on another stack, or share this one with a child, cannot be made from a
// handler.
static long allow_once(ucontext_t *uc, int nr, const uint64_t *args) {
	switch (nr) {
	case SYS_rt_sigprocmask:
		return change_mask(uc, args);
	case SYS_clone:
		if (args[0] & CLONE_VM)
			return -ENOSYS;
		break;
	case SYS_clone3:
#ifdef SYS_vfork
	case SYS_vfork:
#endif
		return -ENOSYS;
	}
	return trap_again(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static void on_sigsys(int sig, siginfo_t *si, void *ctx) {
	ucontext_t *uc = ctx;
	uint64_t args[6];
	int nr = si->si_syscall, saved = errno;
	(void)sig;
	if (si->si_code != 1 /* SYS_SECCOMP */)
		return;
	facts(uc, args);
	if (threads[self].audit) {
		// Numbers that the table has no place for share its last one.
		int place = nr >= 0 && nr < MAX_CALLS ? nr : MAX_CALLS - 1;
		__atomic_fetch_add(&counts[self][place], 1, __ATOMIC_RELAXED);
		answer(uc, allow_once(uc, nr, args));
		errno = saved;
		return;
	}
	uint32_t none = 0;
	if (__atomic_compare_exchange_n(&report.state, &none, 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		report.thread = self;
		// The baseline lets a thread ask who it is; a role need not.
		report.tid = self != 0 ? threads[self].tid : syscall(SYS_gettid);
		report.nr = nr;
		report.arch = si->si_arch;
		report.ip = (uintptr_t)si->si_call_addr;
		memcpy(report.args, args, sizeof args);
		__atomic_store_n(&report.state, 2, __ATOMIC_RELEASE);
		ring();
	}
	// The process ends while this thread waits. Should stderr be a pipe that
	// nobody reads, the line is lost, but the process ends all the same.
	struct timespec patience = {2, 0};
	uint32_t never = 0;
	while (futex(&never, FUTEX_WAIT, 0, &patience) != 0 && errno == EINTR) {
	}
	for (;;)
		syscall(SYS_exit_group, 128 + SIGSYS);
}

static const char *arch_name(unsigned arch) {
	switch (arch) {
	case AUDIT_ARCH_X86_64: return "x86_64";
	case AUDIT_ARCH_AARCH64: return "aarch64";
	case AUDIT_ARCH_I386: return "i386";
	}
	return "unknown";
}

// find_code finds where the program is loaded; the first object is the program.
static int find_code(struct dl_phdr_info *info, size_t size, void *arg) {
	(void)size, (void)arg;
	code_base = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
			code_start = code_base + info->dlpi_phdr[i].p_vaddr;
			code_end = code_start + info->dlpi_phdr[i].p_memsz;
		}
	return 1;
}

static void tell(void) {
	char line[640];
	const char *name = report.nr >= 0 && report.nr < MAX_CALLS && call_names[report.nr][0]
		? call_names[report.nr] : "unknown";
	int n = snprintf(line, sizeof line,
		"%s%s: sandbox violation: role=%s thread=%s tid=%d syscall=%s(%d) "
		"args=%#llx,%#llx,%#llx,%#llx,%#llx,%#llx ip=%#llx code=%#llx arch=%s: "
		"the call is not in this role's profile; the process ends. "
		"See docs/security.md for how to find the cause and report it.\n",
		line_prefix, program, threads[report.thread].role, threads[report.thread].name, report.tid, name, report.nr,
		(unsigned long long)report.args[0], (unsigned long long)report.args[1],
		(unsigned long long)report.args[2], (unsigned long long)report.args[3],
		(unsigned long long)report.args[4], (unsigned long long)report.args[5],
		(unsigned long long)report.ip,
		// The address in the file, as addr2line takes it; 0 if the call is not from there.
		report.ip >= code_start && report.ip < code_end ? (unsigned long long)(report.ip - code_base) : 0,
		arch_name(report.arch));
	if (n > (int)sizeof line - 1)
		n = sizeof line - 1;
	if (write(2, line, n) < 0) {
		// There may be no stderr; the system log and the status remain.
	}
	if (syslog_fd >= 0) {
		char log[700];
		n = snprintf(log, sizeof log, "<26>%s", line + strlen(line_prefix)); // daemon.crit
		if (sendto(syslog_fd, log, n, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0) < 0) {
			// Nothing more can be done.
		}
	}
}

void trap_doze(int us) {
	struct timespec time = {us / 1000000, us % 1000000 * 1000};
	uint32_t never = 0;
	futex(&never, FUTEX_WAIT, 0, &time);
}

static void confine(void) {
	struct sock_fprog prog = {confine_length, confine_code};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0)
		confine_error = errno;
	__atomic_store_n(&confine_state, 2, __ATOMIC_RELEASE);
	futex(&confine_state, FUTEX_WAKE, 1, NULL);
}

static void *reporter(void *arg) {
	(void)arg;
	prctl(PR_SET_NAME, "reporter");
	__atomic_store_n(&named, 1, __ATOMIC_RELEASE);
	futex(&named, FUTEX_WAKE, 1, NULL);
	for (;;) {
		uint32_t rung = __atomic_load_n(&bell, __ATOMIC_ACQUIRE);
		if (__atomic_load_n(&report.state, __ATOMIC_ACQUIRE) == 2)
			break;
		if (__atomic_load_n(&confine_state, __ATOMIC_ACQUIRE) == 1)
			confine();
		futex(&bell, FUTEX_WAIT, rung, NULL);
	}
	tell();
	for (;;)
		syscall(SYS_exit_group, 128 + SIGSYS);
	return NULL;
}

static void copy_name(char *to, const char *from) {
	strncpy(to, from, NAME_SIZE - 1);
	to[NAME_SIZE - 1] = 0;
}

int trap_init(const char *name, const char *prefix, int fd) {
	struct sigaction sa = {0};
	copy_name(program, name);
	strncpy(line_prefix, prefix, sizeof line_prefix - 1);
	syslog_fd = fd;
	dl_iterate_phdr(find_code, NULL);
	sa.sa_sigaction = on_sigsys;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigfillset(&sa.sa_mask);
	return sigaction(SIGSYS, &sa, NULL) == 0 ? 0 : errno;
}

int trap_reporter(void) {
	pthread_t t;
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 64 << 10);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&t, &attr, reporter, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	// It names itself while it still may.
	while (err == 0 && __atomic_load_n(&named, __ATOMIC_ACQUIRE) == 0)
		futex(&named, FUTEX_WAIT, 0, NULL);
	return err;
}

int trap_confine(struct sock_filter *code, int length) {
	confine_code = malloc(sizeof *code * length);
	if (confine_code == NULL)
		return ENOMEM;
	memcpy(confine_code, code, sizeof *code * length);
	confine_length = length;
	__atomic_store_n(&confine_state, 1, __ATOMIC_RELEASE);
	ring();
	while (__atomic_load_n(&confine_state, __ATOMIC_ACQUIRE) != 2)
		futex(&confine_state, FUTEX_WAIT, 1, NULL);
	return confine_error;
}

void trap_role(int index, const char *role, const char *name, int audit) {
	if (index <= 0 || index >= MAX_THREADS)
		return;
	copy_name(threads[index].role, role);
	copy_name(threads[index].name, name);
	threads[index].tid = syscall(SYS_gettid);
	threads[index].audit = audit;
	self = index;
}

void trap_default(const char *role, int audit) {
	copy_name(threads[0].role, role);
	copy_name(threads[0].name, "runtime");
	threads[0].audit = audit;
}

void trap_name(int nr, const char *name) {
	if (nr >= 0 && nr < MAX_CALLS)
		copy_name(call_names[nr], name);
}

uint64_t *trap_counts(void) { return &counts[0][0]; }
