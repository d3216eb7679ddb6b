/* rollback.c - rollback netcode: a game that runs ahead of late inputs, and back when they were not as expected.
 *
 *     frame      | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 |      a snapshot before each
 *     inputs     | known     | guessed ............. |
 *                              ^ the other player pressed fire: rewind to here, run again up to now
 *
 *   1  All that the game is lies in two regions: an arena with the land and its units, and a heap with what is
 *      in the air. The arena itself is in its region, so that it goes back, too. Pointers stay right.
 *   2  The game knows nothing of snapshots: they copy the pages that a frame has written.
 *   3  A step depends on the state and the inputs alone, so that a run with rewinds ends as one without.
 *
 * usage: xvm_example_rollback [frames]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <xvm/xvm.h>

#include "realtime.h"

enum { LAND = 1 << 22, UNITS = 4000, LATE = 8, FRAMES = 600, KEPT = LATE + 2 };

typedef struct shell {
    struct shell *next;
    int32_t x, y, dx, dy, frames;
} shell;

typedef struct unit {
    int32_t x, y, dx, dy, health, hits;
    struct unit *target;
} unit;

/* All there is, at the start of the arena's region. */
typedef struct game {
    xvm_arena arena;
    uint8_t *land;
    unit *units;
    xvm_heap *heap;
    shell *shells;
    uint32_t random;
} game;

typedef struct save {
    uint64_t arena, heap; /* snapshots */
} save;

typedef struct machine {
    xvm_region arena_region, heap_region;
    xvm_snapshots *arena, *heap;
    game *game;
    save saves[KEPT]; /* before frame f: f % KEPT */
    double take_time, rewind_time, step_time;
    unsigned takes, rewinds, steps;
} machine;

static void must(xvm_status status, const char *what)
{
    if (status == XVM_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, xvm_status_text(status));
    exit(1);
}

/* --- the game --------------------------------------------------------------------------------- */

static uint32_t draw(game *g, uint32_t limit)
{
    g->random = g->random * 1664525u + 1013904223u;
    return (g->random >> 8) % limit;
}

static void fire(game *g, const unit *from)
{
    shell *s = xvm_heap_alloc(g->heap, sizeof *s + draw(g, 200));

    if (s == NULL)
        exit(1);
    *s = (shell){g->shells,
                 from->x,
                 from->y,
                 (int32_t)draw(g, 7) - 3,
                 (int32_t)draw(g, 7) - 3,
                 20 + (int32_t)draw(g, 30)};
    g->shells = s;
}

static void explode(game *g, const shell *s)
{
    unit *u = &g->units[(uint32_t)(s->x * 31 + s->y) % UNITS];
    uint32_t at = (uint32_t)(s->x * 2048 + s->y) % (LAND - 64);

    u->health -= 10;
    u->hits++;
    for (uint32_t i = 0; i < 64; i++)
        g->land[at + i]++;
}

static void move_shells(game *g)
{
    for (shell **at = &g->shells, *s; (s = *at) != NULL;) {
        s->x += s->dx;
        s->y += s->dy;
        if (--s->frames != 0) {
            at = &s->next;
            continue;
        }
        explode(g, s);
        *at = s->next;
        xvm_heap_free(g->heap, s);
    }
}

static void move_unit(game *g, unit *u)
{
    u->x += u->dx + (u->target->x > u->x) - (u->target->x < u->x);
    u->y += u->dy + (u->target->y > u->y) - (u->target->y < u->y);
    if (u->health <= 0) {
        u->health = 100;
        u->target = &g->units[draw(g, UNITS)];
    }
}

/* One frame. An input has a bit for fire and three for a direction, of each of two players. */
static void step(machine *m, const uint8_t inputs[2])
{
    game *g = m->game;
    double start = realtime_microseconds();

    for (unsigned player = 0; player < 2; player++) {
        g->units[player].dx = inputs[player] & 3;
        g->units[player].dy = inputs[player] >> 2 & 1;
        for (unsigned i = 0; i < 10u * (inputs[player] >> 3 & 1); i++)
            fire(g, &g->units[draw(g, UNITS)]);
    }
    for (unsigned i = 0; i < UNITS; i++)
        move_unit(g, &g->units[i]);
    move_shells(g);
    m->step_time += realtime_microseconds() - start;
    m->steps++;
}

static void add_to(uint64_t *digest, uint64_t value)
{
    *digest = (*digest ^ value) * 0x100000001b3u;
}

static uint64_t digest_of(const game *g)
{
    uint64_t digest = 14695981039346656037u;

    for (unsigned i = 0; i < LAND; i++)
        add_to(&digest, g->land[i]);
    for (unsigned i = 0; i < UNITS; i++) {
        add_to(&digest, (uint32_t)g->units[i].x);
        add_to(&digest, (uint32_t)g->units[i].y);
        add_to(&digest, (uint32_t)g->units[i].hits);
    }
    for (const shell *s = g->shells; s != NULL; s = s->next)
        add_to(&digest, (uint32_t)(s->x * 65599 + s->y + s->frames));
    add_to(&digest, g->random);
    return digest;
}

/* --- its memory ------------------------------------------------------------------------------- */

/* The snapshots come first: they watch an empty region, and nothing is copied that was never there. */
static void begin(machine *m)
{
    xvm_snapshots_options options = {.max_count = KEPT};
    xvm_arena_options arena = {.growth = {.region = &m->arena_region}};
    size_t page = xvm_page_size();
    game *g;

    *m = (machine){.takes = 0};
    must(xvm_reserve(&m->arena_region, 64 << 20, NULL), "reserve");
    must(xvm_reserve(&m->heap_region, 64 << 20, NULL), "reserve");
    must(xvm_snapshots_create(&m->arena, &m->arena_region, &options), "snapshots");
    must(xvm_snapshots_create(&m->heap, &m->heap_region, &options), "snapshots");
    must(xvm_commit(&m->arena_region, 0, sizeof *g), "commit");
    m->game = g = m->arena_region.base;
    arena.growth.offset = (sizeof *g + page - 1) / page * page;
    must(xvm_arena_create(&g->arena, 32 << 20, &arena), "arena");
    must(xvm_heap_create_in(&g->heap, &m->heap_region, NULL), "heap");
    g->land = xvm_arena_alloc(&g->arena, LAND, 0);
    g->units = xvm_arena_alloc(&g->arena, UNITS * sizeof *g->units, 0);
    if (g->land == NULL || g->units == NULL)
        exit(1);
    for (unsigned i = 0; i < LAND; i++)
        g->land[i] = (uint8_t)draw(g, 100);
    for (unsigned i = 0; i < UNITS; i++)
        g->units[i] = (unit){.x = (int32_t)draw(g, 2000),
                             .y = (int32_t)draw(g, 2000),
                             .health = 100,
                             .target = &g->units[draw(g, UNITS)]};
}

static void end(machine *m)
{
    xvm_snapshots_destroy(m->arena);
    xvm_snapshots_destroy(m->heap);
    xvm_heap_destroy(m->game->heap);
    must(xvm_release(&m->heap_region), "release");
    must(xvm_release(&m->arena_region), "release");
}

static void take(machine *m, unsigned frame)
{
    save *s = &m->saves[frame % KEPT];
    double start = realtime_microseconds();

    must(xvm_snapshots_take(m->arena, &s->arena), "take");
    must(xvm_snapshots_take(m->heap, &s->heap), "take");
    m->take_time += realtime_microseconds() - start;
    m->takes++;
}

static void go_back(machine *m, unsigned frame)
{
    const save *s = &m->saves[frame % KEPT];
    double start = realtime_microseconds();

    must(xvm_snapshots_rewind(m->arena, s->arena), "rewind");
    must(xvm_snapshots_rewind(m->heap, s->heap), "rewind");
    m->rewind_time += realtime_microseconds() - start;
    m->rewinds++;
}

/* --- two players ------------------------------------------------------------------------------ */

/* What a player presses in a frame: the same for some frames, then something else. */
static uint8_t press(unsigned player, unsigned frame)
{
    return (uint8_t)((frame / (7 + 4 * player) * 2654435761u >> 11) & 15);
}

/* The other's input is known LATE frames later; until then it is guessed to be the last known one. */
static uint8_t expect(unsigned frame, unsigned now)
{
    return press(1, now < LATE ? 0 : frame + LATE <= now ? frame : now - LATE);
}

/* There is a snapshot of what was before the first of them, if it is run again. */
static void run(machine *m, unsigned from, unsigned to, unsigned now)
{
    for (unsigned frame = from; frame <= to; frame++) {
        if (frame != from || from == now)
            take(m, frame);
        step(m, (uint8_t[]){press(0, frame), expect(frame, now)});
    }
}

/* What arrives now is the input of LATE frames ago; was it another one than was thought? */
static int is_wrong(unsigned now)
{
    return now >= LATE && press(1, now - LATE) != expect(now - LATE, now - 1);
}

static uint64_t play_late(machine *m, unsigned frames)
{
    for (unsigned now = 0; now < frames + LATE; now++) {
        if (is_wrong(now)) {
            go_back(m, now - LATE);
            run(m, now - LATE, now < frames ? now : frames - 1, now);
        } else if (now < frames) {
            run(m, now, now, now);
        }
    }
    return digest_of(m->game);
}

static uint64_t play(machine *m, unsigned frames)
{
    for (unsigned frame = 0; frame < frames; frame++)
        step(m, (uint8_t[]){press(0, frame), press(1, frame)});
    return digest_of(m->game);
}

static void report(const machine *m, unsigned frames)
{
    xvm_snapshots_use arena, heap;

    xvm_snapshots_usage(m->arena, &arena);
    xvm_snapshots_usage(m->heap, &heap);
    printf("%u frames, %u of them run again after %u rewinds\n", frames, m->steps - frames,
           m->rewinds);
    printf("a step %.0f us, a take %.0f us, a rewind by %d frames %.0f us\n",
           m->step_time / m->steps, m->take_time / m->takes, (int)LATE,
           m->rewind_time / (m->rewinds != 0 ? m->rewinds : 1));
    printf("%zu KiB of copies for %zu snapshots of two regions\n", (arena.bytes + heap.bytes) >> 10,
           arena.count);
}

int main(int argc, char **argv)
{
    static machine m;
    unsigned frames = argc > 1 ? (unsigned)atoi(argv[1]) : FRAMES;
    uint64_t plain, late;

    begin(&m);
    plain = play(&m, frames);
    end(&m);
    begin(&m);
    late = play_late(&m, frames);
    report(&m, frames);
    must(xvm_heap_check(m.game->heap), "heap");
    end(&m);
    printf("digest %016llx without rewinds, %016llx with: %s\n", (unsigned long long)plain,
           (unsigned long long)late, plain == late ? "the same" : "DIFFERENT");
    return plain == late ? 0 : 1;
}
