/* xvm.h - all of xvm: the memory model of VirtualAlloc on every system.
 *
 *     reserve ----> commit ----> use ----> decommit ----> release
 *     addresses     memory                 memory back    addresses back
 *
 * Reserved address space costs nothing; committed memory is a promise by the system; decommitted
 * memory is the system's again. The same calls make the same promises on Linux and on Windows.
 *
 * There is no init call: every function works from the first line of main and from any thread.
 */
#ifndef XVM_H
#define XVM_H

/* The version has this one home; CMake reads it from here. */
#define XVM_VERSION_MAJOR 0
#define XVM_VERSION_MINOR 5
#define XVM_VERSION_PATCH 0

#include "xvm/arena.h"
#include "xvm/array.h"
#include "xvm/budget.h"
#include "xvm/growth.h"
#include "xvm/heap.h"
#include "xvm/offset.h"
#include "xvm/pool.h"
#include "xvm/region.h"
#include "xvm/ring.h"
#include "xvm/share.h"
#include "xvm/snapshot.h"
#include "xvm/status.h"
#include "xvm/system.h"
#include "xvm/testing.h"
#include "xvm/watch.h"

#endif
