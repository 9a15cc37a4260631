package sys

import "golang.org/x/sys/unix"

// arm64 has no epoll_wait; epoll_pwait with a nil mask is the same.
const sysEpollWait = unix.SYS_EPOLL_PWAIT
