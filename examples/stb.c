/* stb.c - stb_ds, whose macros ask no allocator whether it had memory, on heaps with a cap: an array that is
 * refused a larger block keeps the one it has, a map that is refused anything goes as a whole.
 *
 *     arrput --> STBDS_REALLOC --> xvm_heap_realloc --> block
 *                                                   --> NULL: longjmp to the one who began
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include "guest.h"
#include <xvm/xvm.h>

/* --- what the macros call --------------------------------------------------------------------- */

static xvm_heap *heap; /* of what is used now: the macros have no context */
static jmp_buf refused;

/* Libraries of this kind write to what they get: from a refusal there is no way back to them. */
static void *take(void *block, size_t size)
{
    void *got = xvm_heap_realloc(heap, block, size);

    if (got == NULL)
        longjmp(refused, 1);
    return got;
}

static void give(void *block)
{
    xvm_heap_free(heap, block);
}

#define STBDS_REALLOC(context, block, size) take((block), (size))
#define STBDS_FREE(context, block) give(block)
#define STB_DS_IMPLEMENTATION
#include <stb_ds.h>

/* --- an array --------------------------------------------------------------------------------- */

enum { CAP = 16 << 20 };

static int *numbers; /* not local: what changes between setjmp and longjmp would be lost */

/* Adds numbers for ever; returns when one more does not fit. */
static void fill_array(void)
{
    if (setjmp(refused) == 0)
        for (;;)
            arrput(numbers, (int)arrlen(numbers));
}

static bool array_is_whole(void)
{
    for (int i = 0; i < (int)arrlen(numbers); i++)
        if (numbers[i] != i)
            return false;
    return true;
}

/* An array changes after its block was had: a refusal leaves it as it was. */
static bool use_array(void)
{
    size_t full;
    bool done;

    fill_array();
    full = arrlenu(numbers);
    done = full > 100000 && array_is_whole();
    arrsetlen(numbers, full / 2);
    fill_array(); /* as far as before, and no further */
    done = done && arrlenu(numbers) == full && array_is_whole();
    printf("array: refused after %zu numbers, all of them there\n", full);
    arrfree(numbers);
    return done;
}

/* --- a map ------------------------------------------------------------------------------------ */

static struct entry {
    char *key;
    int value;
} * words;

static const char *name_of(int number)
{
    static char name[32];

    (void)snprintf(name, sizeof name, "word %d", number);
    return name;
}

static void fill_map(int count)
{
    sh_new_strdup(words);
    for (int i = 0; i < count; i++)
        shput(words, name_of(i), i);
}

/* Fills it for ever, until a refusal. Where that was nobody knows: not even shfree may look at it. So
 * all of its heap is taken back at once. */
static void overfill_map(void)
{
    if (setjmp(refused) == 0)
        fill_map(1 << 30);
    words = NULL;
    xvm_heap_clear(heap);
}

static bool map_is_whole(int count)
{
    for (int i = 0; i < count; i++)
        if (shget(words, name_of(i)) != i)
            return false;
    return shlen(words) == count && shgeti(words, "none") < 0;
}

static bool fill_and_look(int count)
{
    static bool done; /* static: see numbers */

    if (setjmp(refused) != 0)
        return false;
    fill_map(count);
    done = map_is_whole(count);
    printf("map: %d words\n", (int)shlen(words));
    shfree(words);
    return done;
}

static bool use_map(void)
{
    bool done = fill_and_look(50000);

    overfill_map();
    return fill_and_look(50000) && done;
}

/* --- the heap --------------------------------------------------------------------------------- */

static bool with_heap(const char *name, bool (*use)(void))
{
    bool done;

    if (xvm_heap_create(&heap, &(xvm_heap_options){.max_size = CAP, .name = name}) != XVM_OK)
        return false;
    done = use();
    done = guest_left(heap) && done;
    xvm_heap_destroy(heap);
    return done;
}

int main(void)
{
    bool array = with_heap("array", use_array), map = with_heap("map", use_map);

    return array && map ? 0 : 1;
}
