/* parser.c - reads JSON: the tree lies on an arena, beside the strings that it needs, and is dropped by one
 * rewind.
 *
 *     parser [file]...    without a file: a text of its own, then several that are broken
 *     parser --must-fail file...
 *
 * A broken text gives a line, a column and a reason, and leaves nothing behind: the arena is rewound to
 * where it was.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xvm/xvm.h>

enum { MOST_DEPTH = 500, MOST_TEXT = 64 << 20 };

typedef enum kind { NOTHING, TRUTH, NUMBER, STRING, LIST, OBJECT } kind;

/* A value; the members of a list or an object are a chain. */
typedef struct value {
    kind kind;
    const char *name;   /* of a member of an object */
    const char *string; /* '\0'-terminated; a \u0000 inside ends it early */
    double number;      /* of a truth: 0 or 1 */
    struct value *first, *next;
    size_t count; /* of members */
} value;

typedef struct parser {
    xvm_arena *arena;
    const char *text, *at, *end;
    const char *reason; /* NULL: all is well */
    int depth;
} parser;

static value *parse_value(parser *p);

/* Keeps the first reason, and where at was then. */
static void *fail(parser *p, const char *reason)
{
    if (p->reason == NULL)
        p->reason = reason;
    return NULL;
}

static void skip_space(parser *p)
{
    while (p->at < p->end && strchr(" \t\r\n", *p->at) != NULL && *p->at != '\0')
        p->at++;
}

static bool take(parser *p, char wanted)
{
    skip_space(p);
    if (p->at == p->end || *p->at != wanted)
        return false;
    p->at++;
    return true;
}

/* --- building --------------------------------------------------------------------------------- */

static value *new_value(parser *p, kind k)
{
    value *v = xvm_new(p->arena, value); /* all zero */

    if (v == NULL)
        return fail(p, "out of memory");
    v->kind = k;
    return v;
}

/* --- strings ---------------------------------------------------------------------------------- */

/* A string that grows at the end of the arena, character by character: nothing is handed out meanwhile. */
typedef struct builder {
    char *bytes;
    size_t length, room;
} builder;

static bool add_byte(parser *p, builder *b, unsigned byte)
{
    if (b->length == b->room) {
        if (!xvm_arena_extend(p->arena, b->bytes, b->room, 2 * b->room))
            return fail(p, "out of memory") != NULL;
        b->room *= 2;
    }
    b->bytes[b->length++] = (char)byte;
    return true;
}

static bool add_utf8(parser *p, builder *b, unsigned code)
{
    if (code < 0x80)
        return add_byte(p, b, code);
    if (code < 0x800)
        return add_byte(p, b, 0xc0 | code >> 6) && add_byte(p, b, 0x80 | (code & 0x3f));
    if (code < 0x10000)
        return add_byte(p, b, 0xe0 | code >> 12) && add_byte(p, b, 0x80 | (code >> 6 & 0x3f)) &&
               add_byte(p, b, 0x80 | (code & 0x3f));
    return add_byte(p, b, 0xf0 | code >> 18) && add_byte(p, b, 0x80 | (code >> 12 & 0x3f)) &&
           add_byte(p, b, 0x80 | (code >> 6 & 0x3f)) && add_byte(p, b, 0x80 | (code & 0x3f));
}

/* Four hexadecimal digits. */
static bool parse_unit(parser *p, unsigned *unit)
{
    static const char digits[] = "0123456789abcdef";

    *unit = 0;
    for (int i = 0; i < 4; i++, p->at++) {
        char c = p->at < p->end ? *p->at : '\0';
        const char *digit = strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);

        if (c == '\0' || digit == NULL)
            return fail(p, "\\u wants four hexadecimal digits") != NULL;
        *unit = *unit << 4 | (unsigned)(digit - digits);
    }
    return true;
}

/* What follows \u: one unit, or two that make one character. */
static bool parse_unicode(parser *p, builder *b)
{
    unsigned high, low;

    if (!parse_unit(p, &high))
        return false;
    if (high < 0xd800 || high > 0xdfff)
        return add_utf8(p, b, high);
    if (high > 0xdbff || p->end - p->at < 6 || p->at[0] != '\\' || p->at[1] != 'u')
        return fail(p, "half of a surrogate pair") != NULL;
    p->at += 2;
    if (!parse_unit(p, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff)
        return fail(p, "half of a surrogate pair") != NULL;
    return add_utf8(p, b, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
}

static bool parse_escape(parser *p, builder *b)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char c = p->at < p->end ? *p->at : '\0';
    const char *found = strchr(names, c);

    if (c == 'u') {
        p->at++;
        return parse_unicode(p, b);
    }
    if (c == '\0' || found == NULL)
        return fail(p, "no such escape") != NULL;
    p->at++;
    return add_byte(p, b, (unsigned char)meant[found - names]);
}

/* The rest of a string, behind its first quote. The block is as long as the string in the end. */
static const char *parse_string(parser *p)
{
    builder b = {.room = 16};

    b.bytes = xvm_arena_alloc(p->arena, b.room, 1);
    if (b.bytes == NULL)
        return fail(p, "out of memory");
    while (p->at < p->end && *p->at != '"') {
        unsigned char c = (unsigned char)*p->at;

        if (c < 0x20)
            return fail(p, "a control character in a string");
        p->at++;
        if (c == '\\' ? !parse_escape(p, &b) : !add_byte(p, &b, c))
            return NULL;
    }
    if (p->at == p->end)
        return fail(p, "a string without an end");
    p->at++;
    if (!add_byte(p, &b, '\0'))
        return NULL;
    (void)xvm_arena_extend(p->arena, b.bytes, b.room, b.length);
    return b.bytes;
}

/* --- values ----------------------------------------------------------------------------------- */

static const char *skip_digits(parser *p)
{
    const char *from = p->at;

    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        p->at++;
    return p->at > from ? p->at : fail(p, "a digit is missing");
}

static bool skip_number(parser *p)
{
    if (*p->at == '-')
        p->at++;
    if (p->at < p->end && *p->at == '0')
        p->at++;
    else if (skip_digits(p) == NULL)
        return false;
    if (p->at < p->end && *p->at == '.') {
        p->at++;
        if (skip_digits(p) == NULL)
            return false;
    }
    if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        p->at++;
        if (p->at < p->end && (*p->at == '+' || *p->at == '-'))
            p->at++;
        return skip_digits(p) != NULL;
    }
    return true;
}

static value *parse_number(parser *p)
{
    const char *from = p->at;
    value *v = new_value(p, NUMBER);

    if (v == NULL || !skip_number(p))
        return NULL;
    XVM_ARENA_SCOPE(
        p->arena) /* strtod wants an end, and the copy is not needed any more after it */
    {
        char *copy = xvm_arena_copy_text(p->arena, from, (size_t)(p->at - from));

        if (copy == NULL)
            (void)fail(p, "out of memory");
        else
            v->number = strtod(copy, NULL);
    }
    return p->reason == NULL ? v : NULL;
}

static value *parse_word(parser *p, const char *word, kind k, double number)
{
    size_t length = strlen(word);
    value *v;

    if ((size_t)(p->end - p->at) < length || memcmp(p->at, word, length) != 0)
        return fail(p, "a value is missing");
    p->at += length;
    v = new_value(p, k);
    if (v != NULL)
        v->number = number;
    return v;
}

static value *parse_member(parser *p, bool named)
{
    const char *name = NULL;
    value *v;

    if (named && !take(p, '"'))
        return fail(p, "a name is missing");
    if (named && (name = parse_string(p)) == NULL)
        return NULL;
    if (named && !take(p, ':'))
        return fail(p, "':' is missing");
    v = parse_value(p);
    if (v != NULL)
        v->name = name;
    return v;
}

/* A list or an object, behind its first bracket. */
static value *parse_members(parser *p, kind k, char close)
{
    value *all = new_value(p, k), **last = all != NULL ? &all->first : NULL;

    if (all == NULL || take(p, close))
        return all;
    do {
        *last = parse_member(p, k == OBJECT);
        if (*last == NULL)
            return NULL;
        last = &(*last)->next;
        all->count++;
    } while (take(p, ','));
    return take(p, close)
               ? all
               : fail(p, close == ']' ? "',' or ']' is missing" : "',' or '}' is missing");
}

static value *parse_string_value(parser *p)
{
    value *v = new_value(p, STRING);

    if (v != NULL && (v->string = parse_string(p)) == NULL)
        return NULL;
    return v;
}

static value *parse_any(parser *p)
{
    if (take(p, '{'))
        return parse_members(p, OBJECT, '}');
    if (take(p, '['))
        return parse_members(p, LIST, ']');
    if (take(p, '"'))
        return parse_string_value(p);
    if (p->at == p->end)
        return fail(p, "the text ends where a value should be");
    if (*p->at == '-' || (*p->at >= '0' && *p->at <= '9'))
        return parse_number(p);
    if (*p->at == 't')
        return parse_word(p, "true", TRUTH, 1);
    return *p->at == 'f' ? parse_word(p, "false", TRUTH, 0) : parse_word(p, "null", NOTHING, 0);
}

static value *parse_value(parser *p)
{
    value *v;

    if (p->depth == MOST_DEPTH)
        return fail(p, "nested too deeply");
    p->depth++;
    v = parse_any(p);
    p->depth--;
    return v;
}

/* Says where and why. */
static void complain(const parser *p, const char *name)
{
    size_t line = 1, column = 1;

    for (const char *c = p->text; c < p->at; c++) {
        column = *c == '\n' ? 1 : column + 1;
        line += *c == '\n';
    }
    printf("%s:%zu:%zu: %s\n", name, line, column, p->reason);
}

/* The tree, or NULL after a complaint; then nothing of it is left in the arena. */
static value *parse(xvm_arena *arena, const char *name, const char *text, size_t length)
{
    size_t mark = xvm_arena_mark(arena);
    parser p = {.arena = arena, .text = text, .at = text, .end = text + length};
    value *tree = parse_value(&p);

    skip_space(&p);
    if (tree != NULL && p.at < p.end)
        tree = fail(&p, "something follows the value");
    if (tree != NULL)
        return tree;
    complain(&p, name);
    (void)xvm_arena_rewind(arena, mark); /* half a tree and its strings, in one step */
    return NULL;
}

/* --- what is done with a tree ----------------------------------------------------------------- */

static size_t count_values(const value *v)
{
    size_t count = 1;

    for (const value *m = v->first; m != NULL; m = m->next)
        count += count_values(m);
    return count;
}

static const value *find(const value *object, const char *name)
{
    for (const value *m = object->first; m != NULL; m = m->next)
        if (m->name != NULL && strcmp(m->name, name) == 0)
            return m;
    return NULL;
}

static bool report(xvm_arena *arena, const char *name, const char *text, size_t length)
{
    size_t mark = xvm_arena_mark(arena);
    const value *tree = parse(arena, name, text, length);

    if (tree == NULL)
        return false;
    printf("%s: %zu values in %zu bytes\n", name, count_values(tree), xvm_arena_used(arena) - mark);
    return xvm_arena_rewind(arena, mark) == XVM_OK;
}

/* A whole file on the arena. */
static char *read_file(xvm_arena *arena, const char *name, size_t *length)
{
    size_t room = 1 << 16, got;
    char *text = xvm_arena_alloc(arena, room, 1);
    FILE *file = text != NULL ? fopen(name, "rb") : NULL;

    *length = 0;
    if (file == NULL)
        return NULL;
    while (text != NULL && (got = fread(text + *length, 1, room - *length, file)) != 0) {
        *length += got;
        if (*length == room && !xvm_arena_extend(arena, text, room, 2 * room))
            text = NULL;
        else if (*length == room)
            room *= 2;
    }
    fclose(file);
    return text;
}

static bool report_file(xvm_arena *arena, const char *name)
{
    bool fine = false;

    XVM_ARENA_SCOPE(arena) /* the text and all that is made of it */
    {
        size_t length;
        const char *text = read_file(arena, name, &length);

        if (text == NULL)
            printf("%s: cannot be read\n", name);
        else
            fine = report(arena, name, text, length);
    }
    return fine;
}

static bool shows_its_own(xvm_arena *arena)
{
    static const char text[] = "{\"name\": \"Stra\\u00dfe \\ud83d\\ude00\", \"size\": -1.5e3,\n"
                               " \"flags\": [true, false, null, [], {}], \"empty\": \"\"}\n";
    static const char *const broken[] = {
        "",       "[1, 2",       "{\"a\" 1}",     "[1,]",
        "{1: 2}", "\"\\q\"",     "\"\\ud800x\"",  "[01]",
        "1.",     "-",           "nul",           "\"open",
        "[1] 2",  "{\"a\": 1,}", "\"tab\there\"", "\"\\u12g4\"",
        "]",
    };
    value *tree = parse(arena, "text", text, sizeof text - 1);
    const value *name = tree != NULL ? find(tree, "name") : NULL;
    bool fine = name != NULL && strcmp(name->string, "Stra\xc3\x9f"
                                                     "e \xf0\x9f\x98\x80") == 0;

    fine = fine && find(tree, "size")->number == -1500 && find(tree, "flags")->count == 5;
    xvm_arena_clear(arena);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        fine = parse(arena, broken[i], broken[i], strlen(broken[i])) == NULL && fine;
        fine = fine && xvm_arena_used(arena) == 0;
    }
    return fine;
}

int main(int argc, char **argv)
{
    bool must_fail = argc > 1 && strcmp(argv[1], "--must-fail") == 0, fine = true;
    xvm_arena arena;

    if (xvm_arena_create(&arena, MOST_TEXT, NULL) != XVM_OK)
        return 1;
    if (argc == 1)
        fine = shows_its_own(&arena);
    for (int i = must_fail ? 2 : 1; i < argc; i++)
        fine = report_file(&arena, argv[i]) == !must_fail && fine;
    fine = fine && xvm_arena_used(&arena) == 0 && xvm_arena_check(&arena) == XVM_OK;
    xvm_arena_destroy(&arena);
    return fine ? 0 : 1;
}
