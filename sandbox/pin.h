#ifndef GOMCD_SANDBOX_PIN_H
#define GOMCD_SANDBOX_PIN_H

#include <stddef.h>
#include <stdint.h>

// Pinned bytes are in pages from PIN_FIRST up to PIN_END.
enum { PIN_FIRST = 1 << 20, PIN_END = 4 << 20 };

// pin_bytes copies bytes to a page of their own there, which can only be read,
// and returns its address, or 0 with errno.
uintptr_t pin_bytes(const void *bytes, size_t size);

#endif
