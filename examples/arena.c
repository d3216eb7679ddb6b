/* arena.c - the ways to use an arena: for a frame, for a block of code, for a thread in passing. */
#include <stdio.h>
#include <string.h>
#include <xvm/xvm.h>

typedef struct particle {
    float x, y;
} particle;

/* All of a frame is taken back at once; the next one finds its memory still there. */
static int run_frames(void)
{
    xvm_arena frame;

    if (xvm_arena_create(&frame, 16 << 20, NULL) != XVM_OK) /* addresses only */
        return 1;
    for (size_t i = 1; i <= 100; i++) {
        particle *all = xvm_new_array(&frame, particle, 100 * i); /* zero */

        if (all == NULL)
            return 1; /* the limit above, or memory: xvm_last_status says which */
        all[0].x = 1;
        xvm_arena_clear(&frame);
    }
    printf("%zu bytes stay committed between frames\n", frame.memory.committed);
    xvm_arena_destroy(&frame);
    return 0;
}

/* The result lies in the arena of the caller; what it is made of goes when the scope ends. */
static const char *join(xvm_arena *arena, const char *const *words, size_t count)
{
    xvm_arena_scope scope = xvm_scratch(&arena, 1); /* an arena of this thread, but not that one */
    const char *result = NULL;
    size_t length = 0;
    char *text = scope.arena != NULL ? xvm_arena_alloc(scope.arena, 1, 1) : NULL;

    for (size_t i = 0; i < count && text != NULL; i++) {
        size_t more = strlen(words[i]);

        if (!xvm_arena_extend(scope.arena, text, length + 1, length + more + 1))
            text = NULL;
        else
            memcpy(text + length, words[i], more);
        length += more;
    }
    if (text != NULL)
        result = xvm_arena_copy_text(arena, text, length);
    (void)xvm_arena_scope_end(&scope);
    return result;
}

static int run_scopes(void)
{
    static const char *const words[] = {"mark", " and ", "rewind"};
    const char *text = NULL;
    xvm_arena arena;

    if (xvm_arena_create(&arena, 1 << 20, NULL) != XVM_OK)
        return 1;
    XVM_ARENA_SCOPE(&arena)
    {
        text = join(&arena, words, 3);
        puts(text != NULL ? text : "out of memory");
    } /* text is gone */
    printf("%zu bytes in use\n", xvm_arena_used(&arena));
    xvm_arena_destroy(&arena);
    return text == NULL;
}

int main(void)
{
    return run_frames() != 0 || run_scopes() != 0;
}
