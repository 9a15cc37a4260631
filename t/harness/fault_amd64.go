package harness

import "golang.org/x/sys/unix"

// EpollWait is the number of the system call that waits for events.
const EpollWait = unix.SYS_EPOLL_WAIT

const auditArch = unix.AUDIT_ARCH_X86_64
