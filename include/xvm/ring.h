/* ring.h - the same memory twice in a row, and a queue of bytes in it, from one thread to another.
 *
 *     control | data                       | the same memory once more  |
 *             0       read       written   size                    2 * size
 *             |.......|##########|.........|.......|##########|.........|
 *
 *   1  data[i] and data[i + size] are one byte: what begins below size and is no longer than size
 *      is in one piece, wherever it begins.
 *   2  Positions count bytes modulo 2 * size: what is there is written - read, 0 to size. The byte
 *      at a position is data[position % size].
 *   3  One producer stores written, after the bytes before it. One consumer stores read, when it
 *      has done with the bytes before it. Nothing else is shared, and no call waits.
 *   4  Each side keeps its own position and the bytes that it may have to itself, and never reads
 *      them back. What it reads of the other side is believed only when it makes these bytes no
 *      less than they were and no more than size: a broken or hostile process at the other end can
 *      spoil what is in the ring, and make it look full or empty, but reaches nothing else.
 *   5  Claim, push and pop look at the other side's position only when what they know of is not
 *      enough.
 *
 * The producer calls claim, publish, push and room; the consumer peek, consume, pop and available:
 * one thread each at a time, of one process with one handle, or of any two with a handle each.
 *
 * The compiler does not know that data[i] and data[i + size] are one byte. The calls of the queue
 * keep it from confusing them; a program that writes one and reads the other by itself has to
 * (volatile, or a fence).
 */
#ifndef XVM_RING_H
#define XVM_RING_H

#include <stdbool.h>
#include <string.h>

#include "xvm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct xvm_share; /* share.h */

/* What both sides see: the beginning of the memory, in front of the data. Each position is in a
 * cache line of its own, and away from the one that is fetched with it. */
typedef struct xvm_ring_control {
    uint32_t magic, version; /* 0: not yet a ring */
    uint32_t unit, units;    /* size is units * unit bytes, and unit bytes are in front of it */
    unsigned char gap[112];
    size_t written;
    unsigned char gap_written[128 - sizeof(size_t)];
    size_t read;
    unsigned char gap_read[128 - sizeof(size_t)];
} xvm_ring_control;

/* What one side keeps to itself. */
typedef struct xvm_ring_side {
    size_t position; /* the next byte, modulo 2 * size */
    size_t ready;    /* bytes from there on that it may have, as it last saw: free, or filled */
    size_t claimed;  /* of the free ones those that may be published */
    unsigned char gap[128 - 3 * sizeof(size_t)];
} xvm_ring_side;

/* A ring. data and size are for reading. It must not be copied or moved. All zero: none. */
typedef struct xvm_ring {
    void *data;  /* size bytes, and the same once more */
    size_t size; /* a multiple of the allocation granularity */
    struct {
        xvm_ring_control *control;
        void *first, *second; /* what is mapped: control and data; data once more */
        size_t head;          /* bytes in front of the data */
        size_t whole;         /* size, also when data is gone */
        unsigned char gap[128];
        xvm_ring_side producer, consumer;
    } own;
} xvm_ring;

/* Makes a ring of this process.
 *
 * ring       the handle to fill; its old value is not looked at
 * min_size   bytes, rounded up to the allocation granularity; 0 is XVM_E_INVALID
 * result     data and size are set, the bytes are zero, the queue is empty. All memory is there: no
 *            touch of it can be refused later
 * errors     XVM_E_INVALID: ring NULL, size 0. XVM_E_ADDRESS_SPACE: no room for twice the size.
 *            XVM_E_COMMIT_LIMIT: no memory for it. XVM_E_MAP_LIMIT: too many mappings.
 *            XVM_E_UNSUPPORTED: this system has no shared memory. On error *ring is all zero, or,
 *            when giving back what was half made was refused as well, what xvm_ring_destroy gives
 *            back
 * threads    any
 * linux      memfd_create and fallocate, as xvm_share_create; mmap of a reservation, and twice
 *            MAP_SHARED | MAP_FIXED inside it, so that no other thread can come in between;
 *            MADV_DONTFORK: a child of fork has no such memory, and must leave the handle alone
 * windows    CreateFileMapping. Placeholders (VirtualAlloc2, MapViewOfFile3) where they work, else
 *            a reservation is released and its place mapped at once: what another thread takes
 *            meanwhile is left to it, and the next place is tried, 16 times
 * since      0.5
 */
XVM_API xvm_status xvm_ring_create(xvm_ring *ring, size_t min_size);

/* Makes or joins a ring that is all of a share, so that two processes have one.
 *
 * ring       the handle to fill; its old value is not looked at
 * share      memory of the size that xvm_ring_footprint says, for reading and writing; it may be
 *            closed at once
 * result     data and size are set. A share of zeros becomes a ring whose queue is empty, whichever
 *            of several processes is first; of one that is a ring already the handle goes on
 *            where its producer and its consumer are. A consumer that joins in the place of one
 *            that has ended finds what that one had not consumed; so does a producer
 * errors     XVM_E_INVALID: ring or share NULL, a file, or not of such a size. XVM_E_CORRUPT: it is
 *            neither zero nor a ring of this version, size and granularity, or its positions are
 *            none. XVM_E_PERMISSION: it cannot be written. XVM_E_ADDRESS_SPACE, XVM_E_MAP_LIMIT: as
 *            xvm_ring_create. On error as there
 * threads    any
 * linux      as xvm_ring_create, without MADV_DONTFORK: a child of fork has the ring as well, and
 *            may be one of its sides. What may still go wrong with the memory later is the share's
 *            to tell
 * windows    as xvm_ring_create
 * since      0.5
 */
XVM_API xvm_status xvm_ring_open(xvm_ring *ring, struct xvm_share *share);

/* The size of a share that holds a ring.
 *
 * min_size   bytes that the ring has at least
 * result     bytes; 0 when there cannot be such a ring
 * threads    any
 * since      0.5
 */
XVM_API size_t xvm_ring_footprint(size_t min_size);

/* Ends a ring: what is mapped is unmapped. What another process has of it stays.
 *
 * ring       NULL and all zero are fine
 * result     all zero; errno and GetLastError are as they were. Where the system refuses, the
 *            handle keeps what is left, without data, for a later xvm_ring_destroy
 * threads    not while another thread uses it
 * since      0.5
 */
XVM_API void xvm_ring_destroy(xvm_ring *ring);

/* Looks for what no producer and no consumer would leave: for a side that waits for too long.
 *
 * result     XVM_OK: what can be seen is a ring, and another look may find it changed
 * errors     XVM_E_INVALID: ring NULL or none. XVM_E_CORRUPT: the other side has written what
 *            cannot be; the ring is still safe to use, and empty or full until that changes
 * threads    any
 * linux      no system call
 * windows    the same
 * since      0.5
 */
XVM_API xvm_status xvm_ring_check(const xvm_ring *ring);

/* What the calls below do about a position that cannot be, and about a size that is not there. Call
 * those.
 *
 * result     XVM_OK for size 0
 * errors     XVM_E_INVALID, XVM_E_CORRUPT
 * threads    as those
 * linux      no system call
 * windows    the same
 * since      0.5
 */
XVM_API xvm_status xvm_ring_refuse_size(size_t size);
XVM_API xvm_status xvm_ring_refuse_position(void);

/* From one position to another, and the address of one.
 *
 * from,to,position  modulo 2 * size; from may be anything
 * result     bytes; more than the size when there is no such distance
 * threads    any
 * since      0.5
 */
static inline size_t xvm_ring_distance_(const xvm_ring *ring, size_t from, size_t to)
{
    return to >= from ? to - from : to - from + 2 * ring->size;
}
static inline unsigned char *xvm_ring_at_(const xvm_ring *ring, size_t position)
{
    return XVM_CAST(unsigned char *, ring->data) +
           (position < ring->size ? position : position - ring->size);
}

/* --- the producer ----------------------------------------------------------------------------- */

/* Looks how much can be claimed.
 *
 * result     bytes: it can only become more until they are published. When the other side has
 *            written what cannot be (XVM_E_CORRUPT, xvm_ring_check), what was seen before
 * threads    the producer
 * since      0.5
 */
static inline size_t xvm_ring_room(xvm_ring *ring)
{
    xvm_ring_side *side = &ring->own.producer;
    size_t used;

    if (ring->size == 0)
        return 0;
    used = xvm_ring_distance_(ring, __atomic_load_n(&ring->own.control->read, __ATOMIC_ACQUIRE),
                              side->position);
    if (used <= ring->size - side->ready) /* no less room than before */
        side->ready = ring->size - used;
    else
        (void)xvm_ring_refuse_position();
    return side->ready;
}

/* Room to write to, in one piece. Nobody sees what is written there before xvm_ring_publish.
 *
 * size       bytes: up to the size of the ring
 * result     the room; it takes the place of what was claimed before and not published. NULL: there
 *            is not so much, and nothing changed
 * threads    the producer
 * since      0.5
 */
static inline void *xvm_ring_claim(xvm_ring *ring, size_t size)
{
    xvm_ring_side *side = &ring->own.producer;

    if (size > side->ready && size > xvm_ring_room(ring))
        return NULL;
    side->claimed = size;
    return xvm_ring_at_(ring, side->position);
}

/* Hands over what was written.
 *
 * size       bytes from the beginning of what is claimed; the rest stays claimed
 * result     the consumer can have them, all at once
 * errors     XVM_E_INVALID: more than is claimed; nothing changed
 * threads    the producer
 * linux      no system call
 * windows    the same
 * since      0.5
 */
static inline xvm_status xvm_ring_publish(xvm_ring *ring, size_t size)
{
    xvm_ring_side *side = &ring->own.producer;
    size_t position = side->position + size;

    if (size == 0 || size > side->claimed)
        return xvm_ring_refuse_size(size);
    if (position >= 2 * ring->size)
        position -= 2 * ring->size;
    side->claimed -= size;
    side->ready -= size;
    side->position = position;
    __atomic_store_n(&ring->own.control->written, position, __ATOMIC_RELEASE);
    return XVM_OK;
}

/* Copies bytes in, all of them or none.
 *
 * bytes,size what to copy; up to the size of the ring
 * result     true: the consumer can have them, all at once; what was claimed and not published is
 *            forgotten. False: there is not so much room, and nothing changed
 * threads    the producer
 * since      0.5
 */
static inline bool xvm_ring_push(xvm_ring *ring, const void *bytes, size_t size)
{
    void *room = xvm_ring_claim(ring, size);

    if (room == NULL)
        return false;
    memcpy(room, bytes, size);
    (void)xvm_ring_publish(ring, size);
    return true;
}

/* --- the consumer ----------------------------------------------------------------------------- */

/* Looks how much there is.
 *
 * result     bytes: it can only become more until they are consumed. When the other side has
 *            written what cannot be (XVM_E_CORRUPT, xvm_ring_check), what was seen before
 * threads    the consumer
 * since      0.5
 */
static inline size_t xvm_ring_available(xvm_ring *ring)
{
    xvm_ring_side *side = &ring->own.consumer;
    size_t used;

    if (ring->size == 0)
        return 0;
    used = xvm_ring_distance_(ring, side->position,
                              __atomic_load_n(&ring->own.control->written, __ATOMIC_ACQUIRE));
    if (used - side->ready <= ring->size - side->ready) /* no less than before, no more than all */
        side->ready = used;
    else
        (void)xvm_ring_refuse_position();
    return side->ready;
}

/* Looks at what there is, all of it in one piece. The producer leaves it alone until
 * xvm_ring_consume; but one that is not to be trusted may go on writing there, so its bytes are
 * copied before they are checked.
 *
 * available  how many bytes there are
 * result     the first of them; NULL, and 0 in available: there are none
 * threads    the consumer
 * since      0.5
 */
static inline const void *xvm_ring_peek(xvm_ring *ring, size_t *available)
{
    *available = xvm_ring_available(ring);
    return *available != 0 ? xvm_ring_at_(ring, ring->own.consumer.position) : NULL;
}

/* Gives the room of bytes back that have been read.
 *
 * size       bytes from the beginning of what there is
 * result     the producer can write there
 * errors     XVM_E_INVALID: more than the consumer has seen there; nothing changed
 * threads    the consumer
 * linux      no system call
 * windows    the same
 * since      0.5
 */
static inline xvm_status xvm_ring_consume(xvm_ring *ring, size_t size)
{
    xvm_ring_side *side = &ring->own.consumer;
    size_t position = side->position + size;

    if (size == 0 || size > side->ready)
        return xvm_ring_refuse_size(size);
    if (position >= 2 * ring->size)
        position -= 2 * ring->size;
    side->ready -= size;
    side->position = position;
    __atomic_store_n(&ring->own.control->read, position, __ATOMIC_RELEASE);
    return XVM_OK;
}

/* Copies bytes out, as many as there are.
 *
 * bytes,size where to, and how many at most
 * result     how many; 0: there are none
 * threads    the consumer
 * since      0.5
 */
static inline size_t xvm_ring_pop(xvm_ring *ring, void *bytes, size_t size)
{
    size_t ready = ring->own.consumer.ready;

    if (ready < size)
        ready = xvm_ring_available(ring);
    if (size > ready)
        size = ready;
    if (size == 0)
        return 0;
    memcpy(bytes, xvm_ring_at_(ring, ring->own.consumer.position), size);
    (void)xvm_ring_consume(ring, size);
    return size;
}

#ifdef __cplusplus
}
#endif

#endif
