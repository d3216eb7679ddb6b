/* bare.h - the bare system calls that xvm makes, without xvm: what the benchmarks divide by. */
#ifndef XVM_BENCH_BARE_H
#define XVM_BENCH_BARE_H

#include <stddef.h>
#include <stdint.h>

uint64_t bare_now(void);   /* nanoseconds */
uint64_t bare_spent(void); /* of them, those that this thread ran, where the system counts well */
size_t bare_page_size(void);

void *bare_reserve(size_t size);
void bare_release(void *base, size_t size);
void bare_commit(void *address, size_t size);
void bare_decommit(void *address, size_t size);
void bare_discard(void *address, size_t size);
void bare_protect_read(void *address, size_t size);
void bare_protect_write(void *address, size_t size);
void bare_lock(void *address, size_t size);
void bare_unlock(void *address, size_t size);
void bare_prefault(void *address, size_t size);

/* What xvm_get_limits tells, or the most important of it, in the usual way, and what that is. */
extern const char *const bare_way_to_limits;
void bare_look_at_limits(void);

/* Is something at the address? As a program finds out without xvm. */
int bare_query(const void *address);

#endif
