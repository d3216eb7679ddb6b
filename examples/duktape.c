/* duktape.c - Duktape on a heap of its own, with a cap: a script that wants everything gets an Error,
 * and it and the program go on.
 *
 *     duk_context --> take, resize, give --> xvm_heap      one region of 16 MiB, gone in one piece
 */
#include <duktape.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include "guest.h"
#include <xvm/xvm.h>

enum { CAP = 16 << 20 };

/* --- what duk_create_heap wants --------------------------------------------------------------- */

static void *take(void *heap, duk_size_t size)
{
    return size != 0 ? xvm_heap_alloc(heap, size) : NULL;
}

static void give(void *heap, void *block)
{
    xvm_heap_free(heap, block);
}

/* What is refused is collected for, and asked once more. */
static void *resize(void *heap, void *block, duk_size_t size)
{
    if (size != 0)
        return xvm_heap_realloc(heap, block, size);
    xvm_heap_free(heap, block);
    return NULL;
}

/* For errors outside of every protected call; of those there are none here. It must not return. */
static void stop(void *heap, const char *message)
{
    (void)heap;
    fprintf(stderr, "%s\n", message);
    exit(1);
}

/* --- scripts ---------------------------------------------------------------------------------- */

static const char closures[] =
    "function counter() { var n = 0; return function () { return ++n; }; }\n"
    "var all = [], sum = 0;\n"
    "for (var i = 0; i < 2000; i++) all.push(counter());\n"
    "for (var round = 0; round < 3; round++)\n"
    "  all.forEach(function (next) { sum += next(); });\n"
    "'closures: ' + sum\n";

static const char objects[] = "var o = {}, count = 0, sum = 0;\n"
                              "for (var i = 1; i <= 5000; i++) o['key' + i] = [i, i * i];\n"
                              "for (var i = 1; i <= 5000; i += 2) delete o['key' + i];\n"
                              "for (var k in o) { count++; sum += o[k][0]; }\n"
                              "var copy = JSON.parse(JSON.stringify(o));\n"
                              "'objects: ' + count + ' ' + sum + ' ' + copy.key5000[1]\n";

static const char strings[] = "var parts = [], grown = '';\n"
                              "for (var i = 0; i < 3000; i++) parts.push('item ' + i);\n"
                              "for (var i = 0; i < 1000; i++) grown += i + ' ';\n"
                              "var text = parts.join(',').replace(/item (\\d+)/g, '$1$1');\n"
                              "'strings: ' + text.length + ' ' + grown.length\n";

/* Small blocks, one that doubles, and one that could never be had. */
static const char greedy[] =
    "function refused(eat) {\n"
    "  try { eat(); } catch (e) { return String(e); }\n"
    "  throw new Error('not refused');\n"
    "}\n"
    "var small = refused(function () { for (var t = [];;) t.push({}); });\n"
    "var doubled = refused(function () { for (var s = 'x';;) s += s; });\n"
    "var huge = refused(function () { return new Uint8Array(1 << 30); });\n"
    "'refused: ' + [small, doubled, huge].join(', ')\n";

/* --- running ---------------------------------------------------------------------------------- */

/* Prints what a script gives, or why it failed. */
static bool run(duk_context *js, const char *script)
{
    bool done = duk_peval_string(js, script) == 0;

    puts(duk_safe_to_string(js, -1));
    duk_pop(js);
    return done;
}

/* After a script that took all there is, the others find as much as before. */
static bool run_all(duk_context *js)
{
    static const char *const scripts[] = {closures, objects, strings, greedy,
                                          closures, objects, strings, greedy};

    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        if (!run(js, scripts[i]))
            return false;
    return true;
}

int main(void)
{
    xvm_heap_options options = {
        .max_size = CAP, .flags = XVM_HEAP_SINGLE_THREAD, .name = "duktape"};
    bool done = false;
    duk_context *js;
    xvm_heap *heap;

    if (xvm_heap_create(&heap, &options) != XVM_OK)
        return 1;
    js = duk_create_heap(take, resize, give, heap, stop);
    if (js != NULL) {
        done = run_all(js);
        duk_destroy_heap(js);
    }
    done = guest_left(heap) && done;
    xvm_heap_destroy(heap);
    return done ? 0 : 1;
}
