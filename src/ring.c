/* ring.c - rings: memory for them, and what two processes must agree on. The picture and the rules
 * are in xvm/ring.h; the queue itself is inline there.
 *
 *     share   | control | data        |
 *     memory  | control | data        | data again  |
 *             head      size          size
 *
 *   1  The words of the control block that say what it is are functions of the share's size and of
 *      the granularity: whoever finds zeros writes what everybody else would, and there is no
 *      first.
 *   2  Each is written once, from zero, and then only compared.
 */
#include <assert.h>
#include <string.h>

#include "failure.h"
#include "lock.h"
#include "pages.h"
#include "xvm/ring.h"
#include "xvm/share.h"
#include "xvm/system.h"

enum { MAGIC = 0x52767801, VERSION = 1, LOOKS = 8 };

static_assert(sizeof(xvm_ring_control) == 3 * 128, "positions lie in lines of their own");
static_assert(sizeof(xvm_ring_side) == 128, "what one side keeps lies in lines of its own");

/* --- sizes ------------------------------------------------------------------------------------ */

/* The size of a ring; 0 when there cannot be such a one. */
static size_t size_for(size_t min_size, size_t unit)
{
    size_t size = round_up(min_size, unit);

    return size >= min_size && size <= (SIZE_MAX - unit) / 2 && size / unit <= UINT32_MAX ? size
                                                                                          : 0;
}

size_t xvm_ring_footprint(size_t min_size)
{
    size_t unit = xvm_allocation_granularity(), size = size_for(min_size, unit);

    return size != 0 ? unit + size : 0;
}

/* --- the control block ------------------------------------------------------------------------ */

/* Is a word what it has to be, or zero where that is as good? */
static bool is_right(const uint32_t *word, size_t value, bool or_zero)
{
    uint32_t found = LOAD_ACQUIRE(word);

    return found == value || (or_zero && found == 0);
}

static bool are_right(const xvm_ring *ring, bool or_zero)
{
    const xvm_ring_control *control = ring->own.control;

    return is_right(&control->magic, MAGIC, or_zero) &&
           is_right(&control->version, VERSION, or_zero) &&
           is_right(&control->unit, ring->own.head, or_zero) &&
           is_right(&control->units, ring->size / ring->own.head, or_zero);
}

/* A word that is zero. */
static void set_once(uint32_t *word, size_t value)
{
    uint32_t zero = 0;

    (void)COMPARE_SWAP_ORDERED(word, &zero, (uint32_t)value);
}

static void make_right(xvm_ring *ring)
{
    xvm_ring_control *control = ring->own.control;

    set_once(&control->version, VERSION);
    set_once(&control->unit, ring->own.head);
    set_once(&control->units, ring->size / ring->own.head);
    set_once(&control->magic, MAGIC);
}

/* Do the positions belong together? They move while they are looked at: what is read between two
 * equal ones belongs to them, and those that move are not judged. */
static bool have_sense(const xvm_ring *ring)
{
    const xvm_ring_control *control = ring->own.control;
    bool moved = false;

    for (unsigned look = 0; look < LOOKS; look++) {
        size_t read = LOAD_ACQUIRE(&control->read), written = LOAD_ACQUIRE(&control->written);

        if (read < 2 * ring->size && written < 2 * ring->size &&
            xvm_ring_distance_(ring, read, written) <= ring->size)
            return true;
        moved = moved || LOAD_ACQUIRE(&control->read) != read;
    }
    return moved;
}

/* --- making ----------------------------------------------------------------------------------- */

static xvm_status answer_to(const char *call, size_t size, xvm_os_answer answer)
{
    if (answer.status == XVM_OK)
        return XVM_OK;
    return xvm_os_fail_at(&(xvm_os_site){.call = call, .operation = XVM_OS_MAP, .size = size},
                          answer);
}

static xvm_status refuse(const char *call, size_t size, xvm_status status)
{
    return answer_to(call, size, (xvm_os_answer){status, 0});
}

/* What is mapped, or left of it. */
static void keep(xvm_ring *ring, const xvm_os_twice *twice)
{
    if (twice->first == NULL && twice->second == NULL)
        return;
    ring->own.first = twice->first;
    ring->own.second = twice->second;
    ring->own.head = twice->head;
    ring->own.whole = twice->size;
}

static xvm_os_twice kept(const xvm_ring *ring)
{
    return (xvm_os_twice){ring->own.first, ring->own.second, ring->own.head, ring->own.whole};
}

static void unmap(xvm_ring *ring)
{
    xvm_os_twice twice = kept(ring);

    memset(ring, 0, sizeof *ring);
    (void)xvm_os_unmap_twice(&twice);
    keep(ring, &twice);
}

/* The handle goes on where the positions are; what is there and what is free, each side looks for
 * when it needs some. */
static bool begin(xvm_ring *ring)
{
    ring->own.control = ring->own.first;
    ring->data = (unsigned char *)ring->own.first + ring->own.head;
    ring->size = ring->own.whole;
    ring->own.producer.position = LOAD_ACQUIRE(&ring->own.control->written);
    ring->own.consumer.position = LOAD_ACQUIRE(&ring->own.control->read);
    if (!are_right(ring, true) || !have_sense(ring) ||
        ring->own.producer.position >= 2 * ring->size ||
        ring->own.consumer.position >= 2 * ring->size)
        return false; /* and nothing of what it is has been changed */
    make_right(ring);
    return are_right(ring, false);
}

static xvm_os_answer map(xvm_ring *ring, const xvm_os_share *share, size_t head, size_t size)
{
    xvm_os_twice twice = {NULL, NULL, head, size};
    xvm_os_answer answer = xvm_os_map_twice(share, &twice);

    keep(ring, &twice);
    if (answer.status == XVM_OK && !begin(ring))
        answer = (xvm_os_answer){XVM_E_CORRUPT, 0};
    if (answer.status == XVM_E_CORRUPT)
        unmap(ring);
    return answer;
}

/* Two sides on either side of a fork would be two producers, or two consumers. */
static xvm_os_answer keep_from_children(xvm_ring *ring)
{
    static const xvm_os_policy policy = {.fork = XVM_FORK_NONE};
    xvm_os_answer answer =
        xvm_os_attach(ring->own.first, ring->own.head + 2 * ring->own.whole, &policy);

    if (answer.status != XVM_OK)
        unmap(ring);
    return answer;
}

static xvm_os_share system_share(const xvm_share *share)
{
    return (xvm_os_share){.handle = share->own.handle, .size = share->size, .writable = 1};
}

/* What is mapped needs no handle. */
static xvm_os_answer make(xvm_ring *ring, size_t head, size_t size)
{
    xvm_status status;
    xvm_os_share held;
    xvm_os_answer answer;
    xvm_share share;

    status = xvm_share_create(&share, head + size, NULL);
    if (status != XVM_OK)
        return (xvm_os_answer){status, xvm_system_error()};
    held = system_share(&share);
    answer = map(ring, &held, head, size);
    xvm_share_close(&share);
    return answer.status == XVM_OK ? keep_from_children(ring) : answer;
}

/* --- public calls ----------------------------------------------------------------------------- */

xvm_status xvm_ring_create(xvm_ring *ring, size_t min_size)
{
    size_t head = xvm_allocation_granularity(), size = size_for(min_size, head);

    if (ring == NULL)
        return refuse("ring_create", min_size, XVM_E_INVALID);
    memset(ring, 0, sizeof *ring);
    if (size == 0)
        return refuse("ring_create", min_size, min_size == 0 ? XVM_E_INVALID : XVM_E_ADDRESS_SPACE);
    return answer_to("ring_create", size, make(ring, head, size));
}

/* Memory, not a file, which somebody could cut short. */
static bool is_memory(const xvm_share *share)
{
    return share->own.kind == XVM_OS_MEMORY || share->own.kind == XVM_OS_NAMED;
}

xvm_status xvm_ring_open(xvm_ring *ring, struct xvm_share *share)
{
    size_t head = xvm_allocation_granularity(), size;
    xvm_os_share held;

    if (ring == NULL)
        return refuse("ring_open", 0, XVM_E_INVALID);
    memset(ring, 0, sizeof *ring);
    if (share == NULL || !is_memory(share) || share->size <= head || share->size > SIZE_MAX)
        return refuse("ring_open", 0, XVM_E_INVALID);
    size = (size_t)share->size - head;
    if (size_for(size, head) != size)
        return refuse("ring_open", size, XVM_E_INVALID);
    if (!share->own.writable)
        return refuse("ring_open", size, XVM_E_PERMISSION);
    held = system_share(share);
    return answer_to("ring_open", size, map(ring, &held, head, size));
}

void xvm_ring_destroy(xvm_ring *ring)
{
    int saved = xvm_os_get_error();

    if (ring == NULL || (ring->own.first == NULL && ring->own.second == NULL))
        return;
    unmap(ring);
    xvm_os_set_error(saved);
}

xvm_status xvm_ring_check(const xvm_ring *ring)
{
    if (ring == NULL || ring->size == 0)
        return refuse("ring_check", 0, XVM_E_INVALID);
    if (!are_right(ring, false) || !have_sense(ring))
        return refuse("ring_check", ring->size, XVM_E_CORRUPT);
    return XVM_OK;
}

xvm_status xvm_ring_refuse_size(size_t size)
{
    return size == 0 ? XVM_OK : refuse("ring", size, XVM_E_INVALID);
}

xvm_status xvm_ring_refuse_position(void)
{
    return refuse("ring", 0, XVM_E_CORRUPT);
}
