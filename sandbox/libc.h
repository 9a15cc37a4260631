#ifndef GOMCD_SANDBOX_LIBC_H
#define GOMCD_SANDBOX_LIBC_H

// libc_prepare has libc do now what it would otherwise do when the filters are
// in force, or not at all.
void libc_prepare(void);

// libc_drop_pages unmaps the code and the constants of the program and its libraries. The
// kernel maps a page again when it is used, from the page cache.
void libc_drop_pages(void);

#endif
