/* store.c - copies of pages, and sets of pages. The picture is in snapshot.h. */
#include <string.h>

#include "snapshot.h"
#include "tell.h"

typedef size_t __attribute__((may_alias)) word; /* whatever a page holds */

enum { WORDS = 8 }; /* looked at together */

/* --- reading what a tool may have poisoned ----------------------------------------------------- */

__attribute__((no_sanitize_address)) bool xvm_os_snapshots_is_zero(const xvm_snapshots *s,
                                                                   size_t page)
{
    const word *at = (const word *)(const void *)page_at(s, page);
    const word *end = at + s->page_size / sizeof *at;

    for (; at < end; at += WORDS)
        if ((at[0] | at[1] | at[2] | at[3] | at[4] | at[5] | at[6] | at[7]) != 0)
            return false;
    return true;
}

/* Word by word: the compiler's memcpy would be the tool's. */
__attribute__((no_sanitize_address)) static void copy_unseen(void *to, const void *from,
                                                             size_t size)
{
    const volatile word *source = from;
    word *target = to;

    for (size_t i = 0; i < size / sizeof *target; i++)
        target[i] = source[i];
}

/* --- writing what is not read soon ------------------------------------------------------------- */

/* Past the caches, which keep what the program works with, and without reading what is overwritten. */
typedef long long lanes __attribute__((vector_size(16), may_alias));

#ifdef __SSE2__
static void store_aside(lanes *to, lanes value)
{
#ifdef __clang__
    __builtin_nontemporal_store(value, to);
#else
    __builtin_ia32_movntdq(to, value);
#endif
}
#endif

static void copy_aside(void *to, const void *from, size_t size)
{
#ifdef __SSE2__
    const lanes *source = from;
    lanes *target = to;

    for (size_t i = 0; i < size / sizeof *target; i += 4) { /* a line of the cache */
        store_aside(target + i, source[i]);
        store_aside(target + i + 1, source[i + 1]);
        store_aside(target + i + 2, source[i + 2]);
        store_aside(target + i + 3, source[i + 3]);
    }
#else
    memcpy(to, from, size);
#endif
}

void xvm_os_snapshots_copied(void)
{
#ifdef __SSE2__
    __builtin_ia32_sfence();
#endif
}

/* --- slots ------------------------------------------------------------------------------------ */

static uint32_t new_slot(xvm_snapshots *s)
{
    return s->free_count != 0 ? slots_of(&s->free)[--s->free_count] : s->slot_end++;
}

uint32_t xvm_os_snapshots_copy(xvm_snapshots *s, size_t page)
{
    uint32_t slot = new_slot(s);

    if (s->listens)
        copy_unseen(slot_at(s, slot), page_at(s, page), s->page_size);
    else
        copy_aside(slot_at(s, slot), page_at(s, page), s->page_size);
    s->last += s->page_size;
    return slot;
}

void xvm_os_snapshots_free_slot(xvm_snapshots *s, uint32_t slot)
{
    if (slot != 0)
        slots_of(&s->free)[s->free_count++] = slot;
}

bool xvm_os_snapshots_has_slots(const xvm_snapshots *s, size_t more)
{
    size_t end = s->slot_end - (size_t)1 + more;

    return end <= s->slots.committed >> s->page_shift &&
           end <= s->free.committed / sizeof(uint32_t);
}

xvm_status xvm_os_snapshots_reach_slots(xvm_snapshots *s, size_t more)
{
    size_t end = s->slot_end - (size_t)1 + more;
    xvm_status status = xvm_growth_reach(&s->free, end * sizeof(uint32_t));

    return status == XVM_OK ? xvm_growth_reach(&s->slots, end << s->page_shift) : status;
}

/* --- giving back ------------------------------------------------------------------------------ */

/* Every free slot is a bit; free ones at the end are not in use any more, and the others wait in such an
 * order that the first comes first. */
static void sort_free(xvm_snapshots *s, uint64_t *bits)
{
    for (uint32_t i = 0; i < s->free_count; i++)
        set_bit(bits, slots_of(&s->free)[i]);
    s->free_count = 0;
    while (s->slot_end > 1 && has_bit(bits, s->slot_end - (size_t)1))
        s->slot_end--;
    for (uint32_t slot = s->slot_end; --slot != 0;)
        if (has_bit(bits, slot))
            slots_of(&s->free)[s->free_count++] = slot;
}

/* Free slots between others give their memory back, and stay committed. */
static size_t discard_free(xvm_snapshots *s, const uint64_t *bits)
{
    size_t freed = 0;

    for (size_t at = next_bit(bits, 1, s->slot_end), end; at < s->slot_end;
         at = next_bit(bits, end, s->slot_end)) {
        for (end = at + 1; end < s->slot_end && has_bit(bits, end); end++)
            continue;
        if (xvm_discard(s->slots.own.shared, (at - 1) << s->page_shift, (end - at) << s->page_shift,
                        XVM_DISCARD_ZERO) == XVM_OK)
            freed += (end - at) << s->page_shift;
    }
    return freed;
}

/* The base goes: every page differs from it. */
static void forget_base(xvm_snapshots *s)
{
    for (uint32_t page = 0; page < s->extent; page++)
        xvm_os_snapshots_free_slot(s, slots_of(&s->table)[page]);
    memset(s->table.base, 0, s->extent * sizeof(uint32_t));
    xvm_os_snapshots_set_bits(bits_of(&s->pending), 0, s->extent);
}

size_t xvm_snapshots_trim(xvm_snapshots *s)
{
    size_t freed = 0, words;

    if (s == NULL)
        return 0;
    xvm_os_snapshots_sweep(s);
    words = s->slot_end / 64 + 1;
    if (xvm_growth_reach(&s->ranges, words * sizeof(uint64_t)) != XVM_OK)
        return 0;
    memset(s->ranges.base, 0, words * sizeof(uint64_t));
    spin_lock(&s->lock);
    if (s->count == 0)
        forget_base(s);
    sort_free(s, bits_of(&s->ranges));
    spin_unlock(&s->lock);
    freed = discard_free(s, bits_of(&s->ranges));
    return freed + xvm_growth_trim(&s->slots, (size_t)(s->slot_end - 1) << s->page_shift);
}

/* --- sets of pages ---------------------------------------------------------------------------- */

void xvm_os_snapshots_set_bits(uint64_t *bits, size_t from, size_t to)
{
    for (; from < to && (from & 63) != 0; from++)
        set_bit(bits, from);
    for (; to > from && (to & 63) != 0; to--)
        set_bit(bits, to - 1);
    if (from < to)
        memset(bits + from / 64, 255, (to - from) / 8);
}
