/* entities.c - an entity table with stable pointers.
 *
 *     bodies   | player | rock | (free) | spark | rock | -> grows in place
 *                 ^         ^       |________________ next free slot ...
 *     camera.target   hunter.prey
 *
 *   1  Entities live in an array that never moves: whoever works with one keeps a plain pointer.
 *   2  One that dies leaves a free slot, which the next one takes; its generation tells whether a
 *      pointer still means the same entity.
 *   3  Nothing is reserved by the megabyte and nothing is copied: there is room for 4 million, and
 *      memory for those there are.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <xvm/xvm.h>

enum { MOST = 4 << 20, FRAMES = 300, BORN = 700, HUNTERS = 1000 };

typedef struct body {
    float x, y, dx, dy;
    uint32_t generation; /* odd: alive */
    uint32_t frames;     /* left to live */
    struct body *next_free;
} body;

typedef struct world {
    XVM_ARRAY(body) bodies;
    body *free;
    size_t alive, born;
} world;

/* What a system remembers of an entity. */
typedef struct reference {
    body *body;
    uint32_t generation;
} reference;

/* Any sequence will do. */
static uint32_t draw(uint32_t limit)
{
    static uint32_t state = 1;

    state = state * 1664525u + 1013904223u;
    return (state >> 8) % limit;
}

static body *is_alive(reference r)
{
    return r.body != NULL && r.body->generation == r.generation ? r.body : NULL;
}

static reference refer_to(body *b)
{
    return (reference){b, b->generation};
}

/* A slot that is free, or a new one at the end; NULL when memory or the limit is reached. */
static body *spawn(world *w, uint32_t frames)
{
    body *b = w->free;

    if (b != NULL)
        w->free = b->next_free;
    else if ((b = xvm_array_push(&w->bodies.array, NULL)) == NULL)
        return NULL;
    *b = (body){.dx = 1, .dy = 2, .frames = frames, .generation = b->generation + 1};
    w->alive++;
    w->born++;
    return b;
}

static void die(world *w, body *b)
{
    b->generation++;
    b->next_free = w->free;
    w->free = b;
    w->alive--;
}

static void move_all(world *w)
{
    xvm_each(b, &w->bodies)
    {
        if (b->generation % 2 == 0)
            continue;
        b->x += b->dx;
        b->y += b->dy;
        if (--b->frames == 0)
            die(w, b);
    }
}

/* Whose prey is gone looks for another one; the answer is how many had to. */
static size_t hunt(world *w, reference *hunters)
{
    size_t lost = 0;

    for (size_t i = 0; i < HUNTERS; i++) {
        body *b;

        if (is_alive(hunters[i]) != NULL)
            continue;
        b = xvm_at(&w->bodies, draw((uint32_t)xvm_count(&w->bodies)));
        hunters[i] = b->generation % 2 != 0 ? refer_to(b) : (reference){0};
        lost++;
    }
    return lost;
}

int main(void)
{
    static reference hunters[HUNTERS];
    static world w;
    const body *camera; /* looks at the player; found once, never again */
    size_t most = 0, lost = 0;
    char why[300];

    if (xvm_array_make(&w.bodies, MOST, NULL) != XVM_OK || (camera = spawn(&w, UINT32_MAX)) == NULL)
        goto refused;
    for (int frame = 0; frame < FRAMES; frame++) {
        for (int i = 0; i < BORN; i++)
            if (spawn(&w, 1 + draw(200)) == NULL)
                goto refused;
        move_all(&w);
        lost += hunt(&w, hunters);
        most = w.alive > most ? w.alive : most;
    }
    printf(
        "%zu entities were born, at most %zu at a time, in %zu slots; %zu times one of %d hunters\n"
        "lost its prey. The camera still sees the player, at %.0f, %.0f. %zu KiB are committed "
        "for\n"
        "the %zu KiB in use, and addresses for %d entities cost nothing.\n",
        w.born, most, xvm_count(&w.bodies), lost, HUNTERS, (double)camera->x, (double)camera->y,
        w.bodies.array.growth.committed >> 10, xvm_count(&w.bodies) * sizeof(body) >> 10, MOST);
    xvm_array_destroy(&w.bodies.array);
    return EXIT_SUCCESS;
refused:
    (void)xvm_explain(why, sizeof why);
    fprintf(stderr, "entities: %s\n", why);
    xvm_array_destroy(&w.bodies.array);
    return EXIT_FAILURE;
}
