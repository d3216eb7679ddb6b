/* save.c - a snapshot goes to a file while the region lives on. The picture is in snapshot.h.
 *
 *     any thread:  lock, find pages, unlock | write their copies | lock, find pages, unlock | write ...
 *     the owner:   writes, takes, restores and drops whatever it likes: copies of the snapshot stay
 */
#include "image.h"
#include "snapshot.h"

enum { CHUNK = 256 }; /* pages that are found at once */

static const xvm_os_answer DONE = {XVM_OK, 0};

/* What is written next: equal pages, and where the copies of committed ones are. */
typedef struct chunk {
    size_t from, to;
    xvm_state state;
    uint32_t slots[CHUNK];
} chunk;

static shot *find_shot(xvm_snapshots *s, uint64_t id)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->shots[i].id == id)
            return &s->shots[i];
    return NULL;
}

/* False: there is no such snapshot. */
static bool hold(xvm_snapshots *s, uint64_t id)
{
    size_t index;

    spin_lock(&s->lock);
    index = xvm_os_snapshots_find(s, id);
    if (index < s->count)
        s->shots[index].saving++;
    spin_unlock(&s->lock);
    return index < s->count;
}

static void let_go(xvm_snapshots *s, uint64_t id)
{
    spin_lock(&s->lock);
    find_shot(s, id)->saving--;
    spin_unlock(&s->lock);
}

/* The pages of a snapshot from one on, which are equal. */
static void find_chunk(xvm_snapshots *s, uint64_t id, size_t from, chunk *c)
{
    const shot *it;
    const stretch *at;

    spin_lock(&s->lock);
    it = find_shot(s, id);
    for (at = stretches_of(s, it->states); at->end <= from; at++)
        continue;
    c->from = from;
    c->to = at->end;
    c->state = (xvm_state)at->state;
    if (c->state == XVM_COMMITTED && c->to - from > CHUNK)
        c->to = from + CHUNK;
    if (c->state == XVM_COMMITTED)
        xvm_os_snapshots_resolve(s, (size_t)(it - s->shots), from, c->to, c->slots);
    spin_unlock(&s->lock);
}

/* Copies side by side, or zeros, are written at once. */
static xvm_os_answer write_copies(xvm_snapshots *s, xvm_os_image *image, const chunk *c)
{
    size_t count = c->to - c->from, end;
    xvm_os_answer answer = DONE;

    for (size_t i = 0; i < count && answer.status == XVM_OK; i = end) {
        uint32_t first = c->slots[i];

        for (end = i + 1; end < count; end++)
            if (c->slots[end] != (first != 0 ? first + (uint32_t)(end - i) : 0))
                break;
        answer = xvm_os_image_write(image, s->offset + ((c->from + i) << s->page_shift),
                                    (end - i) << s->page_shift, XVM_COMMITTED,
                                    first != 0 ? slot_at(s, first) : NULL);
    }
    return answer;
}

static xvm_os_answer write_chunk(xvm_snapshots *s, xvm_os_image *image, const chunk *c)
{
    size_t size = (c->to - c->from) << s->page_shift;

    if (c->state == XVM_RESERVED)
        return DONE;
    if (c->state == XVM_COMMITTED)
        return write_copies(s, image, c);
    return xvm_os_image_write(image, s->offset + (c->from << s->page_shift), size, c->state, NULL);
}

static xvm_os_answer write_all(xvm_snapshots *s, uint64_t id, xvm_os_image *image)
{
    xvm_os_answer answer = DONE;
    chunk c;

    for (c.to = 0; c.to < s->pages && answer.status == XVM_OK;) {
        find_chunk(s, id, c.to, &c);
        answer = write_chunk(s, image, &c);
    }
    return answer;
}

static xvm_os_answer save(xvm_snapshots *s, uint64_t id, const char *path)
{
    xvm_os_image image;
    xvm_os_answer answer = xvm_os_image_begin(&image, path, s->region);

    if (answer.status != XVM_OK)
        return answer;
    answer = write_all(s, id, &image);
    if (answer.status == XVM_OK)
        return xvm_os_image_finish(&image);
    xvm_os_image_abandon(&image);
    return answer;
}

xvm_status xvm_snapshots_save(xvm_snapshots *s, uint64_t id, const char *path)
{
    xvm_os_site site = {.call = "snapshots_save", .operation = XVM_OS_FILE};
    xvm_os_answer answer;

    if (s == NULL || path == NULL)
        return refuse(s, "snapshots_save", XVM_E_INVALID);
    if (!hold(s, id))
        return refuse(s, "snapshots_save", XVM_E_NOT_FOUND);
    answer = save(s, id, path);
    let_go(s, id);
    site.name = s->name;
    return xvm_os_fail_at(&site, answer);
}
