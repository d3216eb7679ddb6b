/* test_system.c - facts, limits and their use: each against what the program does, and against each
 * other. What one system can say of itself is compared in posix/test_system_linux.c.
 */
#include "harness.h"
#include "xvm/xvm.h"

enum { THREADS = 8, LOOKS = 50, A_CODE = 17 };
static const size_t SIZE = (size_t)64 << 20;
static const size_t SLACK = (size_t)4 << 20; /* what the program does besides */

static xvm_limits look(void)
{
    xvm_limits l;

    CHECK_EQUAL(xvm_get_limits(&l), XVM_OK);
    return l;
}

static void needs(uint64_t value, const char *what)
{
    if (value == UINT64_MAX)
        SKIP(what);
}

/* Went up by size, give or take. */
static bool rose(uint64_t before, uint64_t after, uint64_t size)
{
    return after + SLACK >= before + size && after <= before + size + SLACK;
}

static void needs_plain_memory(void)
{
    if (memory_is_emulated())
        SKIP("a sanitizer or an emulator stands between the process and its numbers");
}

/* --- facts ------------------------------------------------------------------------------------ */

TEST(facts_are_plausible)
{
    const xvm_system_info *s = xvm_system();

    CHECK(s != NULL && s == xvm_system());
    CHECK_EQUAL(s->page_size, xvm_page_size());
    CHECK_EQUAL(s->allocation_granularity, xvm_allocation_granularity());
    CHECK(s->huge_page_size % s->page_size == 0 && s->thp_size % s->page_size == 0);
    CHECK(s->processors >= 1 && s->numa_nodes >= 1);
    CHECK(s->physical_memory >= SIZE);
    CHECK_EQUAL(s->physical_memory / s->page_size * s->page_size, s->physical_memory);
}

TEST(regions_lie_between_the_lowest_and_the_highest_address)
{
    const xvm_system_info *s = xvm_system();
    xvm_region r;

    CHECK(s->lowest_address != 0 && s->lowest_address < s->highest_address);
    CHECK(s->address_bits >= 31 && s->address_bits <= sizeof(void *) * 8);
    CHECK((uint64_t)s->highest_address >> (s->address_bits - 1) == 1);
    CHECK(xvm_reserve(&r, SIZE, NULL) == XVM_OK);
    CHECK((uintptr_t)r.base >= s->lowest_address);
    CHECK((uintptr_t)r.base + r.size - 1 <= s->highest_address);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(facts_do_not_follow_pretended_pages)
{
    size_t page = xvm_system()->page_size;

    pretend_page_size(2 * page, 0);
    CHECK_EQUAL(xvm_system()->page_size, page);
}

TEST(features_are_known_ones_and_agree)
{
    const xvm_system_info *s = xvm_system();

    CHECK(s->features < (uint64_t)XVM_HAS_MAP_INTO << 1);
    CHECK(!(s->features & XVM_HAS_LIGHT_GUARDS) || (s->features & XVM_HAS_FINE_SPARSE));
    CHECK(!(s->features & XVM_HAS_TRANSPARENT_HUGE) || s->thp_size != 0);
    CHECK(!(s->features & XVM_HAS_EXPLICIT_HUGE) || s->huge_page_size != 0);
    if (s->features & XVM_HAS_FAULT_COUNTS)
        CHECK(look().minor_faults != UINT64_MAX);
}

static const xvm_system_info *seen[THREADS];

static void ask(void *context, int index)
{
    (void)context;
    seen[index] = xvm_system();
    CHECK(seen[index]->page_size != 0 && seen[index]->processors != 0);
}

TEST(first_askers_get_the_same_facts)
{
    run_threads(THREADS, ask, NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK(seen[i] == xvm_system());
}

/* --- limits ----------------------------------------------------------------------------------- */

TEST(null_is_invalid)
{
    CHECK_EQUAL(xvm_get_limits(NULL), XVM_E_INVALID);
    CHECK_EQUAL(xvm_last_status(), XVM_E_INVALID);
}

TEST(limits_are_plausible)
{
    xvm_limits l = look();

    CHECK_EQUAL(l.physical_total / SIZE, xvm_system()->physical_memory / SIZE);
    CHECK(l.physical_available <= l.physical_total);
    CHECK(l.commit_limit >= SIZE && l.commit_used != 0);
    CHECK(l.container_limit == UINT64_MAX || l.container_limit <= l.physical_total);
    CHECK((l.container_limit == UINT64_MAX) <= (l.container_used == UINT64_MAX));
    CHECK(l.process_resident != 0 && l.process_resident <= l.physical_total);
    CHECK(l.process_committed <= l.process_reserved);
    CHECK_EQUAL(l.process_locked, l.lock_used);
    CHECK(l.map_used == UINT64_MAX || l.map_used <= l.map_limit);
}

static bool fits(uint64_t headroom, uint64_t limit, uint64_t used)
{
    if (limit == UINT64_MAX)
        return true;
    return headroom <= (used < limit ? limit - used : used == UINT64_MAX ? limit : 0);
}

TEST(headroom_is_no_more_than_any_room)
{
    xvm_limits l = look();

    CHECK(l.headroom != 0 && l.headroom != UINT64_MAX);
    CHECK(fits(l.headroom, l.container_limit, l.container_used));
    CHECK(fits(l.headroom, l.data_limit, l.process_committed));
    if (xvm_system()->features & XVM_HAS_STRICT_COMMIT)
        CHECK(fits(l.headroom, l.commit_limit, l.commit_used));
}

TEST(the_last_error_survives)
{
    xvm_limits l;

    set_last_error(A_CODE);
    CHECK_EQUAL(xvm_get_limits(&l), XVM_OK);
    CHECK_EQUAL(get_last_error(), A_CODE);
    CHECK(xvm_system() != NULL);
    CHECK_EQUAL(get_last_error(), A_CODE);
}

TEST(nothing_stays_open_but_what_the_first_look_opened)
{
    holdings before, after;

    (void)look();
    look_at_process(&before);
    for (int i = 0; i < 1000; i++)
        (void)look();
    look_at_process(&after);
    CHECK_EQUAL(before.handles, after.handles);
    CHECK(after.handles < 64);
}

static void look_often(void *context, int index)
{
    (void)context;
    (void)index;
    for (int i = 0; i < LOOKS; i++) {
        xvm_limits l = look();

        CHECK(l.physical_total != UINT64_MAX && l.process_resident != UINT64_MAX);
        CHECK_EQUAL(l.physical_total / SIZE, xvm_system()->physical_memory / SIZE);
    }
}

TEST(eight_threads_look_at_once)
{
    holdings before, after;

    (void)look();
    look_at_process(&before);
    run_threads(THREADS, look_often, NULL);
    look_at_process(&after);
    if (!memory_is_emulated()) /* Wine keeps handles for threads */
        CHECK_EQUAL(before.handles, after.handles);
}

/* --- what moves with what we do --------------------------------------------------------------- */

TEST(reserving_moves_reserved)
{
    xvm_limits before;
    xvm_region r;

    needs_plain_memory();
    CHECK(xvm_reserve(&r, 1, NULL) == XVM_OK); /* the first region reserves the register of them */
    CHECK(xvm_release(&r) == XVM_OK);
    before = look();
    needs(before.process_reserved, "this system does not tell what is reserved");
    CHECK(xvm_reserve(&r, SIZE, NULL) == XVM_OK);
    CHECK(rose(before.process_reserved, look().process_reserved, SIZE));
    CHECK(xvm_release(&r) == XVM_OK);
    CHECK(rose(before.process_reserved, look().process_reserved, 0));
}

TEST(committing_moves_committed)
{
    xvm_limits before = look(), after;
    xvm_region r;

    needs_plain_memory();
    needs(before.process_committed, "this system does not tell what is committed");
    CHECK(xvm_reserve(&r, SIZE, NULL) == XVM_OK);
    CHECK(rose(before.process_committed, look().process_committed, 0));
    CHECK(xvm_commit(&r, 0, SIZE) == XVM_OK);
    after = look();
    CHECK(rose(before.process_committed, after.process_committed, SIZE));
    CHECK(rose(before.process_resident, after.process_resident, 0));
    CHECK(xvm_decommit(&r, 0, SIZE) == XVM_OK);
    CHECK(rose(before.process_committed, look().process_committed, 0));
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(touching_moves_resident_and_faults)
{
    size_t unit =
        xvm_system()->thp_size > xvm_page_size() ? xvm_system()->thp_size : xvm_page_size();
    xvm_limits before, after;
    xvm_region r;

    CHECK(xvm_reserve(&r, SIZE, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, SIZE) == XVM_OK);
    before = look();
    memset(r.base, 1, SIZE);
    after = look();
    CHECK(after.process_resident + SLACK >= before.process_resident + SIZE);
    CHECK(memory_is_emulated() || rose(before.process_resident, after.process_resident, SIZE));
    CHECK(after.process_resident <= resident_memory() + SLACK);
    CHECK(resident_memory() <= after.process_resident + SLACK);
    CHECK(xvm_release(&r) == XVM_OK);
    needs(before.minor_faults, "this system does not count faults");
    if (memory_is_emulated())
        SKIP("an emulator has pages of its own");
    CHECK(after.minor_faults + after.major_faults >=
          before.minor_faults + before.major_faults + SIZE / unit);
}

TEST(locking_moves_locked)
{
    xvm_limits before = look(), after;
    size_t size = 16 * xvm_page_size();
    xvm_region r;

    needs_plain_memory();
    needs(before.process_locked, "this system does not tell what is locked");
    CHECK(xvm_reserve(&r, size, NULL) == XVM_OK);
    CHECK(xvm_commit(&r, 0, size) == XVM_OK);
    if (xvm_lock(&r, 0, size) != XVM_OK)
        SKIP("nothing may be locked here");
    after = look();
    CHECK_EQUAL(after.process_locked - before.process_locked, size);
    CHECK_EQUAL(after.lock_used, after.process_locked);
    CHECK(xvm_unlock(&r, 0, size) == XVM_OK);
    CHECK_EQUAL(look().lock_used, before.lock_used);
    CHECK(xvm_release(&r) == XVM_OK);
}

TEST(mappings_are_counted)
{
    enum { REGIONS = 20 };
    xvm_region r[REGIONS];
    size_t page = xvm_page_size();
    holdings h;

    needs(look().map_used, "this system does not count mappings");
    needs_plain_memory();
    look_at_process(&h);
    CHECK(look().map_used <= h.mappings + 4 && h.mappings <= look().map_used + 4);
    for (int i = 0; i < REGIONS; i++) {
        CHECK(xvm_reserve(&r[i], 3 * page, NULL) == XVM_OK);
        CHECK(xvm_commit(&r[i], page, page) == XVM_OK); /* so that it merges with no neighbour */
    }
    CHECK(look().map_used >= h.mappings + REGIONS);
    look_at_process(&h);
    CHECK(look().map_used <= h.mappings + 4 && h.mappings <= look().map_used + 4);
    for (int i = 0; i < REGIONS; i++)
        CHECK(xvm_release(&r[i]) == XVM_OK);
}
