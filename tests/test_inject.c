/* test_inject.c - failures on demand, the trace, and every system call of every operation failing
 * in its turn. */
#include "harness.h"
#include "xvm/xvm.h"

enum { PAGES = 12 };

/* --- scripts ---------------------------------------------------------------------------------- */

TEST(a_script_that_cannot_be_read_changes_nothing)
{
    static const char *const broken[] = {"commit@",
                                         "commit@0",
                                         "@3",
                                         "commit@x",
                                         "commit%0",
                                         "reserve>",
                                         "reserve>1x",
                                         "commit@3=0",
                                         "commit@3=",
                                         "commit!",
                                         "commit@3+=1+",
                                         "commit;",
                                         "lock%2%",
                                         "-1",
                                         "commit@99999999999999999999999",
                                         "commit@3=99999999999",
                                         "reserve>99999999999t",
                                         "a_name_that_is_much_longer_than_any_operation",
                                         "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"};
    xvm_region r;

    CHECK(xvm_inject("commit@1") == XVM_OK);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        CHECK_EQUAL(xvm_inject(broken[i]), XVM_E_INVALID);
    CHECK(xvm_reserve(&r, 1, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, 1) == XVM_E_COMMIT_LIMIT);
    CHECK(xvm_injected() == 1);
    CHECK(xvm_inject("") == XVM_OK && xvm_injected() == 0);
    CHECK(xvm_commit(&r, 0, 1) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* Commits one page after the other; the n-th answer is a letter: . or x. */
static void play(const char *script, const char *expected)
{
    size_t page = xvm_page_size();
    xvm_region r;

    CHECK(xvm_reserve(&r, 100 * page, NULL) == XVM_OK);
    CHECK_EQUAL(xvm_inject(script), XVM_OK);
    for (size_t i = 0; expected[i] != '\0'; i++)
        CHECK_EQUAL(xvm_commit(&r, 2 * i * page, page),
                    expected[i] == '.' ? XVM_OK : XVM_E_COMMIT_LIMIT);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(rules_fire_when_they_say)
{
    play("commit@3", "..x...");
    play("commit@3+", "..xxxx");
    play("commit%2", ".x.x.x");
    play("commit", "xxxx");
    play("commit@2,commit@4", ".x.x..");
    play(" commit@1 , commit@2 ", "xx..");
    play("decommit@1,lock", "....");
    play("commit>1g", "....");
    play("commit>1", "xxxx");
}

TEST(a_rule_may_name_the_code)
{
    xvm_region r;

    CHECK(xvm_reserve(&r, 1, NULL) == XVM_OK);
    CHECK(xvm_inject("commit@1=8") == XVM_OK);
    CHECK(xvm_commit(&r, 0, 1) != XVM_OK);
    CHECK_EQUAL(xvm_system_error(), 8);
    CHECK(xvm_inject("reserve>1g") == XVM_OK);
    CHECK(xvm_commit(&r, 0, 1) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK_EQUAL(xvm_reserve(&r, ((size_t)1 << 30) + 1, NULL), XVM_E_ADDRESS_SPACE);
    CHECK(xvm_inject(NULL) == XVM_OK);
}

/* --- the trace -------------------------------------------------------------------------------- */

static xvm_trace_call seen[8];
static size_t seen_count;

static void look(const xvm_trace_call *call)
{
    seen[seen_count++ % 8] = *call;
    set_last_error(99); /* must not reach the caller */
}

TEST(a_trace_sees_every_call)
{
    size_t page = xvm_page_size();
    xvm_region r;

    CHECK(xvm_reserve(&r, 100 * page, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, page) == XVM_OK);
    xvm_set_trace(look);
    set_last_error(77);
    CHECK(xvm_commit(&r, 2 * page, 3 * page) == XVM_OK);
    CHECK(memory_is_fake() || get_last_error() == 77);
    CHECK_EQUAL(seen_count, 1);
    CHECK(strcmp(seen[0].operation, "commit") == 0 && strlen(seen[0].name) > 3);
    CHECK(seen[0].address == (unsigned char *)r.base + 2 * page && seen[0].size == 3 * page);
    CHECK(seen[0].error == 0 && seen[0].injected == 0);
    CHECK(xvm_inject("commit@1") == XVM_OK);
    CHECK(xvm_commit(&r, 20 * page, page) == XVM_E_COMMIT_LIMIT);
    CHECK(seen[1].injected == 1 && seen[1].error == xvm_system_error() && seen[1].error != 0);
    xvm_set_trace(NULL);
    CHECK(xvm_commit(&r, 20 * page, page) == XVM_OK);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

/* --- every call fails in its turn ------------------------------------------------------------- */

/* What each page of the prepared region is, and whether it is locked. All committed ones hold BYTE
 * + page. */
static const struct {
    xvm_protection protection; /* 0 = reserved */
    bool locked;
} layout[PAGES] = {{XVM_READ_WRITE, false}, {XVM_READ_WRITE, true},  {(xvm_protection)0, false},
                   {XVM_READ, false},       {XVM_NO_ACCESS, false},  {(xvm_protection)0, false},
                   {XVM_READ, true},        {XVM_READ_WRITE, false}, {XVM_READ_WRITE, true},
                   {XVM_NO_ACCESS, true},   {XVM_READ_WRITE, false}, {(xvm_protection)0, false}};

enum { BYTE = 0x40 };

static size_t page;

static unsigned char *page_at(const xvm_region *r, size_t i)
{
    return (unsigned char *)r->base + i * page;
}

static void prepare(xvm_region *r, const xvm_reserve_options *options)
{
    page = xvm_page_size();
    CHECK(xvm_reserve(r, PAGES * page, options) == XVM_OK);
    for (size_t i = 0; i < PAGES; i++) {
        if (layout[i].protection == 0)
            continue;
        CHECK(xvm_commit(r, i * page, page) == XVM_OK);
        memset(page_at(r, i), BYTE + (int)i, page);
        if (layout[i].locked)
            CHECK(xvm_lock(r, i * page, page) == XVM_OK);
        CHECK(xvm_protect(r, i * page, page, layout[i].protection) == XVM_OK);
    }
}

/* Where a page is committed, its protection is made readable; false when it is reserved. */
static bool open_page(xvm_region *r, size_t i)
{
    return xvm_protect(r, i * page, page, XVM_READ) == XVM_OK;
}

/* All that can be known about a region from outside; bytes last, because looking opens the
 * pages. */
typedef struct picture {
    size_t committed, locked;
    bool guarded; /* marks whose undoing was refused are perhaps gone */
    unsigned char truth[PAGES];
    bool is_committed[PAGES];
    int first[PAGES], last[PAGES];
} picture;

static void take(xvm_region *r, picture *out)
{
    xvm_usage u;

    memset(out, 0, sizeof *out);
    xvm_region_usage(r, &u);
    out->committed = u.committed;
    out->locked = u.locked;
    out->guarded = u.guarded != 0 || r->own.sparse;
    look_at_pages(r->base, PAGES, page, out->truth);
    for (size_t i = 0; i < PAGES; i++) {
        out->is_committed[i] = open_page(r, i);
        out->first[i] = out->is_committed[i] ? page_at(r, i)[0] : -1;
        out->last[i] = out->is_committed[i] ? page_at(r, i)[page - 1] : -1;
    }
}

static bool is_same(const picture *a, const picture *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* --- the operations --------------------------------------------------------------------------- */

typedef struct operation {
    const char *name;
    xvm_status (*run)(xvm_region *r);
    enum { KEEPS, MAY_DROP, DROPS } bytes; /* refused, or in any case */
} operation;

static xvm_status commit_all(xvm_region *r)
{
    return xvm_commit(r, 0, r->size);
}

static xvm_status commit_some(xvm_region *r)
{
    return xvm_commit(r, page + 1, 2 * page);
}

static xvm_status decommit_all(xvm_region *r)
{
    return xvm_decommit(r, 0, r->size);
}

static xvm_status decommit_half_locked(xvm_region *r)
{
    return xvm_decommit(r, 0, 2 * page);
}

static xvm_status decommit_middle(xvm_region *r)
{
    return xvm_decommit(r, 3 * page, 5 * page);
}

static xvm_status discard_plain(xvm_region *r)
{
    return xvm_discard(r, 0, 2 * page, XVM_DISCARD_ZERO);
}

static xvm_status discard_closed(xvm_region *r)
{
    return xvm_discard(r, 6 * page, 5 * page, XVM_DISCARD_ZERO);
}

static xvm_status discard_lazily(xvm_region *r)
{
    return xvm_discard(r, 6 * page, 5 * page, XVM_DISCARD_LAZY);
}

static xvm_status protect_many(xvm_region *r)
{
    return xvm_protect(r, 6 * page, 5 * page, XVM_READ);
}

static xvm_status protect_two(xvm_region *r)
{
    return xvm_protect(r, 3 * page, 2 * page, XVM_READ_WRITE);
}

static xvm_status lock_two(xvm_region *r)
{
    return xvm_lock(r, 0, 2 * page);
}

static xvm_status lock_three(xvm_region *r)
{
    return xvm_lock(r, 6 * page, 3 * page);
}

static xvm_status unlock_all(xvm_region *r)
{
    return xvm_unlock(r, 0, r->size);
}

static xvm_status prefault_two(xvm_region *r)
{
    return xvm_prefault(r, 0, 2 * page);
}

static const operation operations[] = {
    {"commit all", commit_all, KEEPS},
    {"commit some", commit_some, KEEPS},
    {"decommit all", decommit_all, KEEPS},
    {"decommit, half locked", decommit_half_locked, KEEPS},
    {"decommit, middle", decommit_middle, KEEPS},
    {"discard", discard_plain, MAY_DROP},
    {"discard, closed", discard_closed, MAY_DROP},
    {"discard, lazily", discard_lazily, DROPS},
    {"protect many", protect_many, KEEPS},
    {"protect two", protect_two, KEEPS},
    {"lock two", lock_two, KEEPS},
    {"lock three", lock_three, KEEPS},
    {"unlock all", unlock_all, KEEPS},
    {"prefault", prefault_two, KEEPS},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

static const xvm_reserve_options policies = {
    .fork = XVM_FORK_ZERO, .dump = XVM_DUMP_NEVER, .name = "faults"};

/* What the operation leaves when nothing fails. */
static void take_clean(const operation *o, const xvm_reserve_options *options, picture *before,
                       picture *after)
{
    xvm_region r;

    prepare(&r, options);
    take(&r, before);
    CHECK(xvm_release(&r) == XVM_OK);
    prepare(&r, options);
    CHECK_EQUAL(o->run(&r), XVM_OK);
    take(&r, after);
    CHECK(xvm_release(&r) == XVM_OK);
}

static void ignore_bytes(picture *p)
{
    memset(p->first, 0, sizeof p->first);
    memset(p->last, 0, sizeof p->last);
}

static void compare(const operation *o, size_t n, xvm_status status, picture *now,
                    picture *expected)
{
    if (o->bytes == DROPS || (o->bytes == MAY_DROP && status != XVM_OK)) {
        ignore_bytes(now);
        ignore_bytes(expected);
    }
    if (is_same(now, expected))
        return;
    fprintf(stderr, "%s, call %zu refused: %s, but the state is another one\n", o->name, n,
            xvm_status_name(status));
    for (size_t i = 0; i < PAGES; i++)
        fprintf(stderr, "  page %zu: committed %d/%d truth %d/%d bytes %d/%d\n", i,
                now->is_committed[i], expected->is_committed[i], now->truth[i], expected->truth[i],
                now->first[i], expected->first[i]);
    fprintf(stderr, "  committed %zu/%zu locked %zu/%zu\n", now->committed, expected->committed,
            now->locked, expected->locked);
    exit(1);
}

/* One operation with its n-th call refused; false when it has fewer. Refused: as before. Done in
 * another way: as if nothing had been refused. Then it must succeed. */
static bool refuse_one(const operation *o, const xvm_reserve_options *options, size_t n,
                       const picture *before, const picture *after)
{
    picture now, expected;
    char script[32];
    xvm_status status;
    size_t refused;
    xvm_region r;

    prepare(&r, options);
    snprintf(script, sizeof script, "*@%zu", n);
    CHECK(xvm_inject(script) == XVM_OK);
    status = o->run(&r);
    refused = xvm_injected();
    CHECK(xvm_inject(NULL) == XVM_OK);
    expected = status == XVM_OK ? *after : *before;
    take(&r, &now);
    compare(o, n, status, &now, &expected);
    CHECK(xvm_release(&r) == XVM_OK);
    return refused != 0;
}

/* The same region again, refused and then not. */
static void refuse_and_repeat(const operation *o, const xvm_reserve_options *options, size_t n,
                              const picture *after)
{
    picture now, expected = *after;
    char script[32];
    xvm_region r;

    prepare(&r, options);
    snprintf(script, sizeof script, "*@%zu", n);
    CHECK(xvm_inject(script) == XVM_OK);
    (void)o->run(&r);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK_EQUAL(o->run(&r), XVM_OK);
    take(&r, &now);
    compare(o, n, XVM_OK, &now, &expected);
    CHECK(xvm_release(&r) == XVM_OK);
}

static size_t refuse_each(const xvm_reserve_options *options)
{
    picture before, after;
    size_t all = 0, n;

    for (size_t i = 0; i < OPERATIONS; i++) {
        take_clean(&operations[i], options, &before, &after);
        for (n = 1; refuse_one(&operations[i], options, n, &before, &after); n++)
            refuse_and_repeat(&operations[i], options, n, &after);
        printf("%-24s %zu calls\n", operations[i].name, n - 1);
        all += n - 1;
    }
    return all;
}

TEST(each_call_of_each_operation_refused_once)
{
    size_t all = refuse_each(NULL) + refuse_each(&policies);

    printf("%zu injections\n", all);
    CHECK(all >= 2 * OPERATIONS);
}

static char playing[96]; /* what is being refused, for messages */
static xvm_budget taxes; /* must agree with the region */

/* Whatever was refused, what the region says must be true, and all of it can be given back. */
static void check_truthful(xvm_region *r)
{
    picture now;
    size_t committed = 0;

    take(r, &now);
    for (size_t i = 0; i < PAGES; i++)
        committed += now.is_committed[i] ? page : 0;
    CHECK_EQUAL(now.committed, committed);
    CHECK_EQUAL(taxes.used, committed);
    CHECK(now.locked <= now.committed);
    for (size_t i = 0; i < PAGES; i++) {
        bool faults = faults_on_read(page_at(r, i));

        if (faults != now.is_committed[i] || (!faults && now.guarded))
            continue;
        fprintf(stderr, "%s: page %zu is not what the region says\n", playing, i);
        exit(1);
    }
    CHECK(xvm_decommit(r, 0, r->size) == XVM_OK);
    for (size_t i = 0; i < PAGES; i++)
        CHECK(faults_on_read(page_at(r, i)) || now.guarded);
    CHECK(xvm_commit(r, 0, r->size) == XVM_OK);
    for (size_t i = 0; i < PAGES; i++)
        CHECK(page_at(r, i)[0] == 0 && page_at(r, i)[page - 1] == 0);
    CHECK(xvm_release(r) == XVM_OK);
}

static xvm_status guard_middle(xvm_region *r)
{
    return xvm_guard(r, page, 7 * page);
}

static xvm_status guard_and_commit(xvm_region *r)
{
    xvm_status status = xvm_guard(r, 7 * page, 3 * page);

    return status == XVM_OK ? xvm_commit(r, 0, r->size) : status;
}

static xvm_status guard_and_decommit(xvm_region *r)
{
    xvm_status status = xvm_guard(r, 7 * page, 3 * page);

    return status == XVM_OK ? xvm_decommit(r, 0, r->size) : status;
}

/* What may have stopped on the way is only asked to be truthful. */
static const operation partial[] = {
    {"guard, middle", guard_middle, DROPS},
    {"guard and commit", guard_and_commit, DROPS},
    {"guard and decommit", guard_and_decommit, DROPS},
};
enum { PARTIAL = sizeof partial / sizeof *partial };

/* Regions of each kind. */
static const xvm_reserve_options kinds[] = {
    {.budget = &taxes},
    {.budget = &taxes, .commit_mode = XVM_COMMIT_SPARSE},
    {.budget = &taxes, .fork = XVM_FORK_ZERO, .name = "faults"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const operation *every_operation(size_t i)
{
    return i < OPERATIONS ? &operations[i] : &partial[i - OPERATIONS];
}

/* One operation with the calls that a script names refused; the number of them that were. */
static size_t refuse_by(const operation *o, const xvm_reserve_options *kind, const char *script)
{
    size_t refused;
    xvm_region r;

    CHECK(xvm_budget_init(&taxes, "taxes", NULL, SIZE_MAX) == XVM_OK);
    prepare(&r, kind);
    CHECK(xvm_inject(script) == XVM_OK);
    (void)o->run(&r);
    refused = xvm_injected();
    CHECK(xvm_inject(NULL) == XVM_OK);
    snprintf(playing, sizeof playing, "%s, %s, kind %d", o->name, script, (int)(kind - kinds));
    check_truthful(&r);
    return refused;
}

static bool can_refuse(const xvm_reserve_options *kind)
{
    return kind->commit_mode == XVM_COMMIT_CHARGED ||
           (xvm_system()->features & XVM_HAS_FINE_SPARSE) != 0;
}

TEST(from_each_call_on_all_refused)
{
    char script[32];

    for (size_t k = 0; k < KINDS && can_refuse(&kinds[k]); k++)
        for (size_t i = 0; i < OPERATIONS + PARTIAL; i++)
            for (size_t n = 1;; n++) {
                snprintf(script, sizeof script, "*@%zu+", n);
                if (refuse_by(every_operation(i), &kinds[k], script) == 0)
                    break;
            }
}

TEST(each_pair_of_calls_refused)
{
    char script[64];
    size_t pairs = 0;

    if (!residency_is_known() && !memory_is_fake())
        SKIP("qemu accepts the advice of the last resort and does nothing");

    for (size_t k = 0; k < KINDS && can_refuse(&kinds[k]); k++)
        for (size_t i = 0; i < OPERATIONS + PARTIAL; i++)
            for (size_t n = 1, more = 1; more != 0; n++) {
                more = 0;
                for (size_t m = n + 1;; m++) {
                    snprintf(script, sizeof script, "*@%zu,*@%zu", n, m);
                    if (refuse_by(every_operation(i), &kinds[k], script) < 2)
                        break;
                    more++;
                    pairs++;
                }
            }
    printf("%zu pairs\n", pairs);
    CHECK(pairs > 0);
}

/* --- reserve and release ---------------------------------------------------------------------- */

static const xvm_reserve_options reservations[] = {
    {.alignment = 0},
    {.alignment = (size_t)1 << 21},
    {.below = (uintptr_t)1 << 30},
    {.fork = XVM_FORK_ZERO, .dump = XVM_DUMP_NEVER, .name = "faults"},
    {.min_size = 1},
};
enum { RESERVATIONS = sizeof reservations / sizeof *reservations };

/* Reserves, uses and releases with the n-th call refused; false when there are fewer. */
static bool refuse_reserve(const xvm_reserve_options *options, size_t n)
{
    static const xvm_region zero;
    char script[32];
    bool refused;
    xvm_region r;

    snprintf(script, sizeof script, "*@%zu", n);
    CHECK(xvm_inject(script) == XVM_OK);
    if (xvm_reserve(&r, 40 * xvm_page_size(), options) != XVM_OK) {
        CHECK(memcmp(&r, &zero, sizeof r) == 0);
    } else {
        if (xvm_commit(&r, 0, r.size) == XVM_OK)
            memset(r.base, 1, r.size);
        if (xvm_release(&r) != XVM_OK) {
            CHECK(r.base == NULL || xvm_commit(&r, 0, r.size) == XVM_OK);
            CHECK(xvm_release(&r) == XVM_OK);
        }
    }
    refused = xvm_injected() != 0;
    CHECK(xvm_inject(NULL) == XVM_OK);
    return refused;
}

static void refuse_reserves(void)
{
    for (size_t i = 0; i < RESERVATIONS; i++) {
        if (memory_is_fake() && reservations[i].below != 0)
            continue;
        for (size_t n = 1; refuse_reserve(&reservations[i], n); n++)
            CHECK(n < 1000);
    }
}

/* At the same address again and again: the book lies apart there, and both must come back. */
static void refuse_exact(void)
{
    static const xvm_region zero;
    xvm_reserve_options here = {.alignment = 0};
    xvm_region r;

    if (memory_is_fake())
        return;
    CHECK(xvm_reserve(&r, 40 * xvm_page_size(), NULL) == XVM_OK);
    here.address = r.base;
    CHECK(xvm_release(&r) == XVM_OK);
    for (size_t n = 1; refuse_reserve(&here, n); n++)
        CHECK(n < 1000);
    CHECK(xvm_inject("*@2+") == XVM_OK); /* the book, and then the undoing */
    CHECK(xvm_reserve(&r, 40 * xvm_page_size(), &here) != XVM_OK);
    CHECK(r.base == NULL && r.size == 0);
    CHECK(xvm_inject(NULL) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK); /* gives back what could not be undone */
    CHECK(memcmp(&r, &zero, sizeof r) == 0);
    CHECK(xvm_reserve(&r, 40 * xvm_page_size(), &here) == XVM_OK);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(refused_reservations_leave_nothing_behind)
{
    holdings before, after;

    refuse_reserves();
    refuse_exact();
    look_at_process(&before); /* once, so that the looking itself has what it needs */
    look_at_process(&before);
    for (int i = 0; i < 3; i++) {
        refuse_reserves();
        refuse_exact();
    }
    look_at_process(&after);
    CHECK_EQUAL(after.locked, before.locked);
    CHECK_EQUAL(after.handles, before.handles);
    if (memory_is_emulated() && !memory_is_fake())
        return; /* sanitizers and emulators map memory of their own meanwhile */
    CHECK_EQUAL(after.mappings, before.mappings);
    CHECK_EQUAL(after.addresses, before.addresses);
    CHECK_EQUAL(after.charge, before.charge);
}

TEST(refused_operations_leave_nothing_behind)
{
    holdings before, after;

    (void)refuse_each(&policies);
    look_at_process(&before);
    look_at_process(&before);
    (void)refuse_each(&policies);
    look_at_process(&after);
    CHECK_EQUAL(after.locked, before.locked);
    CHECK_EQUAL(after.handles, before.handles);
    if (memory_is_emulated() && !memory_is_fake())
        return;
    CHECK_EQUAL(after.mappings, before.mappings);
    CHECK_EQUAL(after.addresses, before.addresses);
    CHECK_EQUAL(after.charge, before.charge);
}
