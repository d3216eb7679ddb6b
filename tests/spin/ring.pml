/* ring.pml - the positions of ring.h, with the freedom that processors and compilers take.
 *
 *     producer --stores--> not yet visible --any order, any time--> memory --loads--> consumer
 *
 *   1  A store becomes visible some time later, and each on its own. One with release becomes so
 *      after all that were made before it.
 *   2  A load behind one with acquire reads what is in memory then. Behind one without, it may read
 *      what was there before.
 *   3  The ring has N bytes; positions count modulo 2 * N, as in ring.h: there is no number that
 *      grows, so this is all of the protocol and not its beginning.
 *   4  The bytes are 0, 1, 2, ... modulo V. As V is no multiple of what a cell can be behind (N,
 *      2 * N), a byte that is too old, or too young, is not the one that the consumer expects.
 *
 * Each MUTANT is one mistake, and spin must find it:
 *
 *     PUBLISH_RELAXED   the position is stored without release
 *     PUBLISH_FIRST     the position is stored before the bytes
 *     LOOK_RELAXED      the consumer loads the position without acquire
 *     CONSUME_FIRST     the position is stored before the bytes are read
 *     ROOM_RELAXED      bytes are stored before the look for room
 *     ROOM_ONE_MORE     one byte more than there is room for
 *     MODULO_SIZE       positions modulo N: full looks like empty
 *
 * and one that spoils no byte, but lets both wait for ever: the search for progress must find it.
 *
 *     ROOM_LATE         the look for room only when there is none at all
 */
#define N 3
#define V 7
#ifdef MODULO_SIZE
#define POSITIONS N
#else
#define POSITIONS (2 * N)
#endif

byte data[N]; /* what all see */
byte written, read;

bool late[N]; /* stores of the producer that nobody sees yet */
byte late_data[N];
bool written_late, read_late;
byte late_written, late_read;
bool before[N]; /* those that must be visible before the late store of written */

#define DISTANCE(from, to) ((to - from + POSITIONS) % POSITIONS)
#define AFTER(position, size) ((position + size) % POSITIONS)

inline store_byte(at, value)
{
    d_step { late_data[at] = value; late[at] = true }
}

/* A second store takes the place of a first one that nobody has seen. */
inline store_written(value)
{
    d_step {
        late_written = value;
        written_late = true;
#if !defined(PUBLISH_RELAXED) && !defined(PUBLISH_FIRST)
        i = 0;
        do
        :: i < N -> before[i] = before[i] || late[i]; i++
        :: else -> break
        od;
        i = 0
#endif
    }
}

/* Stores become visible. */
active proctype bytes_arrive()
{
    do
    :: atomic { late[0] -> data[0] = late_data[0]; late[0] = false; before[0] = false }
    :: atomic { late[1] -> data[1] = late_data[1]; late[1] = false; before[1] = false }
    :: atomic { late[2] -> data[2] = late_data[2]; late[2] = false; before[2] = false }
    od
}

active proctype written_arrives()
{
    do
    :: atomic { written_late && !before[0] && !before[1] && !before[2] ->
                written = late_written; written_late = false; late_written = 0 }
    od
}

active proctype read_arrives()
{
    do
    :: atomic { read_late -> read = late_read; read_late = false; late_read = 0 }
    od
}

/* --- xvm_ring_claim, the bytes, xvm_ring_publish ---------------------------------------------- */

active proctype producer()
{
    byte position = 0, ready = N, size, i = 0, next = 0;

    do
    :: if
       :: size = 1
       :: size = 2
       :: size = N
       fi;
#ifdef ROOM_RELAXED
       i = 0;
       do
       :: i < size -> store_byte((position + i) % N, (next + i) % V); i++
       :: else -> break
       od;
#endif
       if
#ifdef ROOM_LATE
       :: ready == 0 -> ready = N - DISTANCE(read, position)
#else
       :: size > ready -> ready = N - DISTANCE(read, position) /* xvm_ring_room */
#endif
       :: else
       fi;
#ifdef ROOM_ONE_MORE
       if
       :: size > ready + 1 -> goto no_room
       :: else
       fi;
#else
       if
       :: size > ready -> goto no_room
       :: else
       fi;
#endif
#ifdef PUBLISH_FIRST
       store_written(AFTER(position, size));
#endif
       i = 0;
       do
       :: i < size -> store_byte((position + i) % N, (next + i) % V); i++
       :: else -> break
       od;
       i = 0;
#ifndef PUBLISH_FIRST
       store_written(AFTER(position, size));
#endif
       ready = (ready > size -> ready - size : 0);
       position = AFTER(position, size);
       next = (next + size) % V;
no_room:
       size = 0
    od
}

/* --- xvm_ring_peek, the bytes, xvm_ring_consume ----------------------------------------------- */

byte got; /* the byte that the consumer has just read */

active proctype consumer()
{
    byte position = 0, ready = 0, size, i = 0, next = 0;
#ifdef LOOK_RELAXED
    byte old[N];
#endif

    do
    :: if
       :: size = 1
       :: size = 2
       :: size = N
       fi;
#ifdef LOOK_RELAXED
       old[0] = data[0];
       old[1] = data[1];
       old[2] = data[2];
#endif
       if
       :: size > ready -> ready = DISTANCE(position, written) /* xvm_ring_available */
       :: else
       fi;
       assert(ready <= N);
       if
       :: size > ready -> size = ready
       :: else
       fi;
       if
       :: size == 0 -> goto nothing
       :: else
       fi;
#ifdef CONSUME_FIRST
       atomic { late_read = AFTER(position, size); read_late = true }
#endif
       i = 0;
       do
       :: i < size ->
#ifdef LOOK_RELAXED
          if
          :: got = old[(position + i) % N]
          :: got = data[(position + i) % N]
          fi;
#else
          got = data[(position + i) % N];
#endif
          assert(got == (next + i) % V);
          i++
       :: else -> break
       od;
       i = 0;
#ifndef CONSUME_FIRST
       atomic { late_read = AFTER(position, size); read_late = true } /* loads before it are done */
#endif
       ready = ready - size;
       position = AFTER(position, size);
       next = (next + size) % V;
progress:
       skip;
nothing:
       size = 0
    od
}
