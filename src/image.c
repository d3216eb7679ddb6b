/* image.c - images: runs and bytes through one buffer into a file, and back out of it.
 *
 *     buffer | run | page page page | run | run | page ....     | path | path |
 *                                   open --^           ^-- filled
 *
 * A run in the buffer is as long as it has become; what comes next makes it longer, or begins another.
 */
#include <assert.h>
#include <string.h>

#include "aside.h"
#include "image.h"
#include "tell.h"

enum {
    BUFFER = 512 << 10,
    NO_RUN = BUFFER,
    SUFFIX = 16,
    TRIES = 64, /* names for a file beside another */
    VERSION = 1,
    ORDER = 0x01020304,
    WORDS = 4 /* of the checksum, and of what it takes at a time */
};

static const char magic[8] = {'x', 'v', 'm', 'i', 'm', 'a', 'g', 'e'};
static const xvm_os_answer DONE = {XVM_OK, 0};

/* What a file begins with. */
typedef struct header {
    char magic[8];
    uint32_t order, version, pointer_size, huge;
    uint64_t length; /* of the file */
    uint64_t base, size, page_size, unit;
    uint64_t sum; /* of all behind the header */
    uint64_t unused[6];
    uint64_t check; /* of the header; 0 meanwhile */
} header;

typedef struct run {
    uint64_t offset, size;
    uint32_t state, has_bytes;
    uint64_t check;
} run;

static_assert(sizeof(header) == 128 && sizeof(run) == 32, "as they are in files");

/* --- checksums -------------------------------------------------------------------------------- */

/* Each step is undone by nothing but the same word: one word that differs is always found. */
static uint64_t stir(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9e3779b97f4a7c15;
    return sum << 29 | sum >> 35;
}

/* Four sums, which the processor works on side by side. size is whole words for each. */
static void absorb(uint64_t sum[WORDS], const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t a = sum[0], b = sum[1], c = sum[2], d = sum[3], words[WORDS];

    for (; size != 0; at += sizeof words, size -= sizeof words) {
        memcpy(words, at, sizeof words);
        a = stir(a, words[0]);
        b = stir(b, words[1]);
        c = stir(c, words[2]);
        d = stir(d, words[3]);
    }
    sum[0] = a;
    sum[1] = b;
    sum[2] = c;
    sum[3] = d;
}

static void start_sum(uint64_t sum[WORDS])
{
    for (unsigned i = 0; i < WORDS; i++)
        sum[i] = i + 1;
}

static uint64_t fold(const uint64_t sum[WORDS])
{
    uint64_t all = 0;

    for (unsigned i = 0; i < WORDS; i++)
        all = stir(all ^ (all >> 31), sum[i]);
    return all ^ (all >> 31);
}

static uint64_t sum_of(const void *bytes, size_t size)
{
    uint64_t sum[WORDS];

    start_sum(sum);
    absorb(sum, bytes, size);
    return fold(sum);
}

/* A header or a run, whose check is 0 meanwhile. */
#define CHECK_OF(copy) (sum_of(&(copy), sizeof(copy)))

/* --- the buffer ------------------------------------------------------------------------------- */

static xvm_os_answer make_buffer(xvm_os_image *image)
{
    xvm_os_place place;
    xvm_os_answer answer = take_aside(BUFFER + 2 * XVM_OS_PATH_BYTES, &place);

    if (answer.status != XVM_OK)
        return answer;
    image->buffer = place.base;
    image->os_base = place.os_base;
    image->os_size = place.os_size;
    return DONE;
}

static void drop_buffer(xvm_os_image *image)
{
    (void)xvm_os_release(image->os_base, image->os_size);
}

size_t xvm_os_image_places(const uintptr_t **places)
{
    return xvm_os_quiet_places(places);
}

/* --- a file beside its place ------------------------------------------------------------------ */

/* Both names behind the buffer; the other one ends with a number. */
static char *name_files(xvm_os_image *image, const char *path, size_t length)
{
    char *place = (char *)image->buffer + BUFFER, *beside = place + XVM_OS_PATH_BYTES;

    memcpy(place, path, length + 1);
    memcpy(beside, path, length);
    image->path = place;
    image->temp = beside;
    return beside + length;
}

static void put_suffix(char *at, uint64_t number)
{
    static const char start[] = ".new-";

    memcpy(at, start, sizeof start - 1);
    at += sizeof start - 1;
    for (unsigned shift = 32; shift != 0; shift -= 4)
        *at++ = "0123456789abcdef"[number >> (shift - 4) & 15];
    *at = '\0';
}

/* Others may be saving to the same place, or have been killed while they were. */
static xvm_os_answer create_beside(xvm_os_image *image, char *suffix)
{
    uint64_t number = stir(xvm_os_clock(), (uintptr_t)image->buffer);
    xvm_os_answer answer = {XVM_E_EXISTS, 0};

    for (unsigned i = 0; i < TRIES && answer.status == XVM_E_EXISTS; i++) {
        put_suffix(suffix, number += 0x9e3779b9);
        answer = xvm_os_plain_create(image->temp, &image->file);
    }
    return answer;
}

xvm_os_answer xvm_os_image_begin(xvm_os_image *image, const char *path, const xvm_region *region)
{
    size_t length = strlen(path);
    xvm_os_answer answer;

    *image = (xvm_os_image){.at = sizeof(header), .open = NO_RUN};
    image->about = (xvm_os_image_about){.base = (uintptr_t)region->base,
                                        .size = region->size,
                                        .page_size = (size_t)1 << region->own.page_shift,
                                        .unit = (size_t)1 << region->own.unit_shift,
                                        .huge = (xvm_huge)region->own.huge};
    start_sum(image->sum);
    if (length == 0 || length > XVM_OS_PATH_BYTES - SUFFIX)
        return (xvm_os_answer){XVM_E_INVALID, 0};
    answer = make_buffer(image);
    if (answer.status != XVM_OK)
        return answer;
    answer = create_beside(image, name_files(image, path, length));
    if (answer.status != XVM_OK)
        drop_buffer(image);
    return answer;
}

/* --- writing ---------------------------------------------------------------------------------- */

static run *open_run(const xvm_os_image *image)
{
    return (run *)(void *)(image->buffer + image->open);
}

/* The last run is as long as it will be. */
static void seal_run(xvm_os_image *image)
{
    if (image->open == NO_RUN)
        return;
    open_run(image)->check = CHECK_OF(*open_run(image));
    image->open = NO_RUN;
}

static xvm_os_answer flush(xvm_os_image *image)
{
    xvm_os_answer answer = DONE;

    seal_run(image);
    if (image->filled == 0)
        return answer;
    absorb(image->sum, image->buffer, image->filled);
    answer = xvm_os_plain_write(image->file, image->at, image->buffer, image->filled);
    image->at += image->filled;
    image->filled = 0;
    return answer;
}

/* Would these pages make the last run longer? */
static bool goes_on(const xvm_os_image *image, size_t offset, xvm_state state, bool has_bytes)
{
    return image->open != NO_RUN && image->end == offset &&
           open_run(image)->state == (uint32_t)state && open_run(image)->has_bytes == has_bytes;
}

/* There is room in the buffer for a run and so many bytes. */
static xvm_os_answer make_room(xvm_os_image *image, size_t size)
{
    return BUFFER - image->filled < sizeof(run) + size ? flush(image) : DONE;
}

/* Pages of which the bytes, if they have any, are where the next ones go. */
static void add_pages(xvm_os_image *image, size_t offset, size_t size, xvm_state state,
                      bool has_bytes)
{
    if (!goes_on(image, offset, state, has_bytes)) {
        seal_run(image);
        image->open = image->filled;
        *open_run(image) =
            (run){.offset = offset, .state = (uint32_t)state, .has_bytes = has_bytes};
        image->filled += sizeof(run);
    }
    open_run(image)->size += size;
    image->end = offset + size;
    image->filled += has_bytes ? size : 0;
}

static xvm_os_answer write_empty(xvm_os_image *image, size_t offset, size_t size, xvm_state state)
{
    xvm_os_answer answer = make_room(image, 0);

    if (answer.status == XVM_OK)
        add_pages(image, offset, size, state, false);
    return answer;
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
    const uint64_t *word = (const uint64_t *)(const void *)bytes;
    uint64_t any = 0;

    for (size_t i = 0; i < size / sizeof *word && any == 0; i += 4)
        any = word[i] | word[i + 1] | word[i + 2] | word[i + 3];
    return any == 0;
}

/* A page is copied to where it would go; zeros do not stay there. */
static xvm_os_answer write_page(xvm_os_image *image, size_t offset, const unsigned char *bytes)
{
    size_t page = image->about.page_size, at;
    xvm_os_answer answer = make_room(image, page);
    bool zero;

    if (answer.status != XVM_OK)
        return answer;
    at = image->filled + (goes_on(image, offset, XVM_COMMITTED, true) ? 0 : sizeof(run));
    xvm_os_tell_copy(image->buffer + at, bytes, page);
    zero = is_zero(image->buffer + at, page);
    add_pages(image, offset, page, XVM_COMMITTED, !zero);
    return answer;
}

xvm_os_answer xvm_os_image_write(xvm_os_image *image, size_t offset, size_t size, xvm_state state,
                                 const void *bytes)
{
    size_t page = image->about.page_size;
    xvm_os_answer answer = DONE;

    if (size == 0)
        return answer;
    assert(offset >= image->end && ((offset | size) & (page - 1)) == 0);
    assert(size <= image->about.size && offset <= image->about.size - size);
    if (bytes == NULL || state != XVM_COMMITTED)
        return write_empty(image, offset, size, state);
    for (size_t i = 0; answer.status == XVM_OK && i < size; i += page)
        answer = write_page(image, offset + i, (const unsigned char *)bytes + i);
    return answer;
}

static xvm_os_answer write_header(xvm_os_image *image)
{
    const xvm_os_image_about *about = &image->about;
    header h = {.order = ORDER,
                .version = VERSION,
                .pointer_size = sizeof(void *),
                .huge = (uint32_t)about->huge,
                .length = image->at,
                .base = about->base,
                .size = about->size,
                .page_size = about->page_size,
                .unit = about->unit,
                .sum = fold(image->sum)};

    memcpy(h.magic, magic, sizeof magic);
    h.check = CHECK_OF(h);
    return xvm_os_plain_write(image->file, 0, &h, sizeof h);
}

void xvm_os_image_abandon(xvm_os_image *image)
{
    int error = xvm_os_get_error();

    xvm_os_plain_close(image->file);
    xvm_os_plain_remove(image->temp);
    drop_buffer(image);
    xvm_os_set_error(error);
}

xvm_os_answer xvm_os_image_finish(xvm_os_image *image)
{
    xvm_os_answer answer = flush(image);

    if (answer.status == XVM_OK)
        answer = write_header(image);
    if (answer.status == XVM_OK)
        answer = xvm_os_plain_sync(image->file);
    if (answer.status != XVM_OK) {
        xvm_os_image_abandon(image);
        return answer;
    }
    xvm_os_plain_close(image->file);
    answer = xvm_os_plain_replace(image->temp, image->path);
    if (answer.status != XVM_OK)
        xvm_os_plain_remove(image->temp);
    drop_buffer(image);
    return answer;
}

/* --- reading ---------------------------------------------------------------------------------- */

static xvm_os_answer refuse(xvm_os_image *image, xvm_os_cause cause)
{
    image->cause = cause;
    return (xvm_os_answer){XVM_E_CORRUPT, 0};
}

static xvm_os_answer read_bytes(xvm_os_image *image, void *into, size_t size)
{
    xvm_os_answer answer = xvm_os_plain_read(image->file, image->at, into, size);

    if (answer.status == XVM_E_CORRUPT)
        return refuse(image, XVM_OS_CAUSE_IMAGE_DAMAGED);
    image->at += size;
    return answer;
}

/* Is a number a power of two that fits? */
static bool is_unit(uint64_t value, uint64_t least)
{
    return value >= least && value <= (uint64_t)1 << 31 && (value & (value - 1)) == 0;
}

static bool is_place(const header *h)
{
    return h->base != 0 && h->base % h->unit == 0 && h->size != 0 && h->size % h->unit == 0 &&
           h->size <= SIZE_MAX / 2 && h->base <= UINTPTR_MAX - h->size;
}

/* In an order in which each step may rely on those before. */
static xvm_os_cause check_header(const header *h, uint64_t length)
{
    header copy = *h;

    copy.check = 0;
    if (memcmp(h->magic, magic, sizeof magic) != 0)
        return XVM_OS_CAUSE_IMAGE_STRANGE;
    if (h->order != ORDER || h->pointer_size != sizeof(void *))
        return XVM_OS_CAUSE_IMAGE_FOREIGN;
    if (h->version != VERSION)
        return XVM_OS_CAUSE_IMAGE_VERSION;
    if (h->check != CHECK_OF(copy) || h->length != length)
        return XVM_OS_CAUSE_IMAGE_DAMAGED;
    if (h->page_size != xvm_page_size())
        return XVM_OS_CAUSE_IMAGE_PAGES;
    if (!is_unit(h->unit, h->page_size) || !is_place(h) || h->huge > XVM_HUGE_MUST_EXPLICIT)
        return XVM_OS_CAUSE_IMAGE_DAMAGED;
    return XVM_OS_CAUSE_UNKNOWN;
}

static xvm_os_answer read_header(xvm_os_image *image, header *h)
{
    xvm_os_answer answer;
    xvm_os_cause cause;

    if (image->length < sizeof *h)
        return refuse(image, XVM_OS_CAUSE_IMAGE_STRANGE);
    answer = read_bytes(image, h, sizeof *h);
    if (answer.status != XVM_OK)
        return answer;
    cause = check_header(h, image->length);
    return cause == XVM_OS_CAUSE_UNKNOWN ? DONE : refuse(image, cause);
}

xvm_os_answer xvm_os_image_open(xvm_os_image *image, const char *path)
{
    xvm_os_answer answer;
    header h;

    *image = (xvm_os_image){.open = NO_RUN};
    answer = xvm_os_plain_open(path, &image->file, &image->length);
    if (answer.status != XVM_OK)
        return answer;
    answer = read_header(image, &h);
    if (answer.status != XVM_OK) {
        xvm_os_plain_close(image->file);
        return answer;
    }
    image->about = (xvm_os_image_about){.base = (uintptr_t)h.base,
                                        .size = (size_t)h.size,
                                        .page_size = (size_t)h.page_size,
                                        .unit = (size_t)h.unit,
                                        .huge = (xvm_huge)h.huge};
    start_sum(image->sum);
    image->sum_told = h.sum;
    return DONE;
}

/* Whole pages behind the run before, and their bytes in the file. */
static bool is_sound(const xvm_os_image *image, const run *r)
{
    const xvm_os_image_about *about = &image->about;
    run copy = *r;

    copy.check = 0;
    return r->check == CHECK_OF(copy) && r->offset >= image->end && r->size != 0 &&
           ((r->offset | r->size) & (about->page_size - 1)) == 0 && r->size <= about->size &&
           r->offset <= about->size - r->size &&
           (r->state == XVM_COMMITTED || (r->state == XVM_GUARD && r->has_bytes == 0)) &&
           r->has_bytes <= 1 && (r->has_bytes == 0 || r->size <= image->length - image->at);
}

static xvm_os_answer end_of(xvm_os_image *image, xvm_os_image_run *out)
{
    *out = (xvm_os_image_run){0};
    return fold(image->sum) == image->sum_told ? DONE : refuse(image, XVM_OS_CAUSE_IMAGE_DAMAGED);
}

xvm_os_answer xvm_os_image_next(xvm_os_image *image, xvm_os_image_run *out)
{
    xvm_os_answer answer;
    run r;

    assert(image->left == 0);
    if (image->at == image->length)
        return end_of(image, out);
    if (image->length - image->at < sizeof r)
        return refuse(image, XVM_OS_CAUSE_IMAGE_DAMAGED);
    answer = read_bytes(image, &r, sizeof r);
    if (answer.status != XVM_OK)
        return answer;
    if (!is_sound(image, &r))
        return refuse(image, XVM_OS_CAUSE_IMAGE_DAMAGED);
    absorb(image->sum, &r, sizeof r);
    image->left = r.has_bytes ? r.size : 0;
    image->end = (size_t)(r.offset + r.size);
    *out = (xvm_os_image_run){.offset = (size_t)r.offset,
                              .size = (size_t)r.size,
                              .state = (xvm_state)r.state,
                              .has_bytes = (int)r.has_bytes};
    return DONE;
}

xvm_os_answer xvm_os_image_read(xvm_os_image *image, void *into, size_t size)
{
    xvm_os_answer answer = DONE;
    unsigned char *at = into;

    assert(size <= image->left);
    for (size_t step; size != 0 && answer.status == XVM_OK; at += step, size -= step) {
        step = size < BUFFER ? size : BUFFER; /* as much as is in the cache when it is summed up */
        answer = read_bytes(image, at, step);
        if (answer.status == XVM_OK)
            absorb(image->sum, at, step);
        image->left -= step;
    }
    return answer;
}

void xvm_os_image_close(xvm_os_image *image)
{
    xvm_os_plain_close(image->file);
}
