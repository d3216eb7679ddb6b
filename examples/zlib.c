/* zlib.c - zlib on a heap of its own, with a cap: streams are opened until one is refused with Z_MEM_ERROR;
 * those that are open work on, and as many can be opened again.
 *
 *     z_stream --> take, give --> xvm_heap      one region of 4 MiB, gone in one piece
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "guest.h"
#include <xvm/xvm.h>
#include <zlib.h>

enum { CAP = 4 << 20, MOST = 64, TEXT = 40000 };

/* --- what a z_stream wants -------------------------------------------------------------------- */

static voidpf take(voidpf heap, uInt count, uInt size)
{
    return xvm_heap_alloc(heap, (size_t)count * size);
}

static void give(voidpf heap, voidpf block)
{
    xvm_heap_free(heap, block);
}

static z_stream on_heap(xvm_heap *heap)
{
    z_stream stream = {.zalloc = take, .zfree = give, .opaque = heap};

    return stream;
}

/* --- streams ---------------------------------------------------------------------------------- */

static Bytef text[TEXT], packed[TEXT], back[TEXT];

static void write_text(void)
{
    for (size_t i = 0; i < TEXT; i++)
        text[i] = (Bytef) "the quick brown fox jumps"[(i * i / 7 + i) % 25];
}

/* The text through an open stream, which is as new afterwards; bytes, 0 on failure. */
static uInt pack(z_stream *stream)
{
    uInt size;

    stream->next_in = text;
    stream->avail_in = TEXT;
    stream->next_out = packed;
    stream->avail_out = TEXT;
    if (deflate(stream, Z_FINISH) != Z_STREAM_END)
        return 0;
    size = TEXT - stream->avail_out;
    return deflateReset(stream) == Z_OK ? size : 0;
}

/* And back, by a stream that is made for it. */
static bool unpack(xvm_heap *heap, uInt size)
{
    z_stream stream = on_heap(heap);
    int answer = inflateInit(&stream);

    if (answer != Z_OK)
        return false;
    stream.next_in = packed;
    stream.avail_in = size;
    stream.next_out = back;
    stream.avail_out = TEXT;
    answer = inflate(&stream, Z_FINISH);
    (void)inflateEnd(&stream);
    return answer == Z_STREAM_END && memcmp(text, back, TEXT) == 0;
}

/* Opens streams until one is refused; how many there are, and the answer to the last. */
static int open_all(xvm_heap *heap, z_stream *streams, int *answer)
{
    int count = 0;

    for (*answer = Z_OK; count < MOST; count++) {
        streams[count] = on_heap(heap);
        *answer = deflateInit(&streams[count], Z_BEST_COMPRESSION);
        if (*answer != Z_OK)
            break;
    }
    return count;
}

/* All that are open can do what they are for; those at the end make room for others. */
static bool use_all(xvm_heap *heap, z_stream *streams, int count)
{
    bool done = count > 1;
    uInt size = 0;

    for (int i = 0; i < count; i++) {
        size = pack(&streams[i]);
        done = done && size != 0 && size < TEXT / 2;
    }
    if (count > 0)
        done = deflateEnd(&streams[count - 1]) == Z_OK && unpack(heap, size) && done;
    for (int i = 0; i + 1 < count; i++)
        done = deflateEnd(&streams[i]) == Z_OK && done;
    return done;
}

/* Open streams until there is no memory, and use them; how many those were, 0 on failure. */
static int fill_and_use(xvm_heap *heap)
{
    z_stream streams[MOST];
    int answer, count = open_all(heap, streams, &answer);

    printf("%d streams, then: %s\n", count, zError(answer));
    return use_all(heap, streams, count) && answer == Z_MEM_ERROR ? count : 0;
}

/* --- the heap --------------------------------------------------------------------------------- */

int main(void)
{
    int first, second;
    xvm_heap *heap;
    bool done;

    if (xvm_heap_create(&heap, &(xvm_heap_options){.max_size = CAP, .name = "zlib"}) != XVM_OK)
        return 1;
    write_text();
    first = fill_and_use(heap);
    second = fill_and_use(heap);
    done = guest_left(heap) && first != 0 && second == first;
    xvm_heap_destroy(heap);
    return done ? 0 : 1;
}
