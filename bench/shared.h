/* shared.h - the bare system calls behind shares. */
#ifndef XVM_BENCH_SHARED_H
#define XVM_BENCH_SHARED_H

#include <stddef.h>
#include <stdint.h>

intptr_t bare_create_memory(size_t size); /* all of it there */
intptr_t bare_create_name(const char *name, size_t size);
intptr_t bare_open_name(const char *name);
void bare_close(intptr_t memory);
void bare_forget_name(const char *name);

void *bare_map(intptr_t memory, size_t size);
void bare_unmap(void *address, size_t size);

/* Over reserved pages, and reserved again; 0: the system has no such thing. */
int bare_map_over(intptr_t memory, void *address, size_t size);

#endif
