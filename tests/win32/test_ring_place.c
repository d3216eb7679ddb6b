/* test_ring_place.c - a ring's place is taken by somebody else between the look for it and the
 * views. */
#include <windows.h>

#include "harness.h"
#include "xvm/xvm.h"

enum { MOST = 32, TRIES = 16 };

static unsigned wanted, taken;
static size_t unit;
static void *places[MOST];

static bool is_placeholder_system(void)
{
    HMODULE module = GetModuleHandleA("kernelbase.dll");
    bool wine = GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") != NULL;

    return module != NULL && GetProcAddress(module, "MapViewOfFile3") != NULL && !wine;
}

/* As soon as a place is free a part in its middle is not. Each place begins one unit further in
 * what was found. */
static void take_place(const xvm_trace_call *call)
{
    unsigned char *address = (unsigned char *)(uintptr_t)call->address;

    if (taken == wanted || call->error != 0 || strcmp(call->name, "VirtualFree") != 0)
        return;
    places[taken] = VirtualAlloc(address + (taken + 2) * unit, 1, MEM_RESERVE, PAGE_NOACCESS);
    CHECK(places[taken] != NULL);
    taken++;
}

static xvm_status make_beside_thief(unsigned count, xvm_ring *ring)
{
    xvm_status status;

    unit = xvm_allocation_granularity();
    wanted = count;
    taken = 0;
    xvm_set_trace(take_place);
    status = xvm_ring_create(ring, 1);
    xvm_set_trace(NULL);
    for (unsigned i = 0; i < taken; i++)
        CHECK(VirtualFree(places[i], 0, MEM_RELEASE));
    return status;
}

TEST(the_next_place_is_tried)
{
    xvm_ring ring;
    size_t available;

    if (is_placeholder_system())
        SKIP("places are never free in between here");
    for (unsigned count = 0; count < TRIES; count++) {
        CHECK_EQUAL(make_beside_thief(count, &ring), XVM_OK);
        CHECK_EQUAL(taken, count);
        CHECK(xvm_ring_push(&ring, "here", 4));
        CHECK(memcmp((char *)ring.data + ring.size, "here", 4) == 0);
        CHECK(xvm_ring_peek(&ring, &available) == ring.data && available == 4);
        xvm_ring_destroy(&ring);
    }
}

TEST(after_many_places_it_is_given_up)
{
    static const xvm_ring none;
    holdings before, after;
    xvm_ring ring;

    if (is_placeholder_system())
        SKIP("places are never free in between here");
    (void)make_beside_thief(MOST, &ring);
    look_at_process(&before);
    CHECK_EQUAL(make_beside_thief(MOST, &ring), XVM_E_ADDRESS_SPACE);
    CHECK_EQUAL(taken, TRIES);
    CHECK(memcmp(&ring, &none, sizeof ring) == 0);
    look_at_process(&after);
    CHECK_EQUAL(after.addresses, before.addresses);
    CHECK_EQUAL(after.handles, before.handles);
}
