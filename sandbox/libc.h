#ifndef GOMCD_SANDBOX_LIBC_H
#define GOMCD_SANDBOX_LIBC_H

// libc_prepare has libc do now what it would otherwise do when the filters are
// in force, or not at all.
void libc_prepare(void);

#endif
