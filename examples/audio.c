/* audio.c - events for an audio callback from a real-time pool: 48 kHz, 64 frames, so that each
 * callback has 1333 microseconds.
 *
 *     control thread: get, fill -----> a mailbox for each voice -----> callback: play, put
 *
 * The pool is committed, in memory and locked before the first callback; from then on neither get nor
 * put makes a system call or takes a page fault. Prints faults and the worst time.
 *
 * usage: xvm_example_audio [seconds]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xvm/xvm.h>

#include "realtime.h"

enum { RATE = 48000, FRAMES = 64, EVENTS = 512, VOICES = 32 };

typedef struct event {
    float frequency, volume;
    int frames_left;
} event;

typedef struct studio {
    xvm_pool pool;
    event *mailboxes[VOICES]; /* from the control thread to the callback */
    event *playing[VOICES];   /* the callback's own */
    float output[FRAMES];
    double phase[VOICES];
    long callbacks, played, missed;
    int done;
} studio;

static event *swap(event **mailbox, event *e)
{
    return __atomic_exchange_n(mailbox, e, __ATOMIC_ACQ_REL);
}

/* --- the callback ----------------------------------------------------------------------------- */

static void play(studio *s, int voice)
{
    event *e = s->playing[voice];
    double step = e->frequency * 6.283185307 / RATE;

    for (int i = 0; i < FRAMES; i++) {
        s->output[i] += e->volume * (float)(s->phase[voice] - 3.14159265);
        s->phase[voice] += step;
        if (s->phase[voice] > 6.283185307)
            s->phase[voice] -= 6.283185307;
    }
    e->frames_left -= FRAMES;
}

static void callback(studio *s)
{
    memset(s->output, 0, sizeof s->output);
    for (int v = 0; v < VOICES; v++) {
        event *next = swap(&s->mailboxes[v], NULL);

        if (next != NULL) {
            xvm_pool_put(&s->pool, s->playing[v]); /* NULL is fine */
            s->playing[v] = next;
            s->played++;
        }
        if (s->playing[v] == NULL)
            continue;
        play(s, v);
        if (s->playing[v]->frames_left > 0)
            continue;
        xvm_pool_put(&s->pool, s->playing[v]);
        s->playing[v] = xvm_pool_get(&s->pool); /* an echo */
        if (s->playing[v] != NULL)
            *s->playing[v] = (event){220.0f, 0.001f, 100 * FRAMES};
    }
}

/* Code and data of the callback itself are touched before it counts. */
static void warm_up(studio *s)
{
    for (int i = 0; i < 100; i++) {
        double start = realtime_microseconds();

        callback(s);
        if (realtime_microseconds() < start)
            return;
        realtime_sleep(500);
    }
    s->played = 0;
}

/* --- both threads ----------------------------------------------------------------------------- */

static void control(void *context)
{
    studio *s = context;
    unsigned random = 1;

    while (!__atomic_load_n(&s->done, __ATOMIC_ACQUIRE)) {
        event *e = xvm_pool_get(&s->pool);

        random = random * 1103515245u + 12345u;
        if (e != NULL) {
            *e = (event){(float)(110 + random % 880), 0.01f, (int)(random >> 16) % 50 * FRAMES};
            xvm_pool_put(&s->pool, swap(&s->mailboxes[(random >> 8) % VOICES], e));
        } else {
            s->missed++;
        }
        realtime_sleep(200);
    }
}

int main(int argc, char **argv)
{
    static studio s;
    double seconds = argc > 1 ? atof(argv[1]) : 3, worst = 0, busy = 0;
    long count = (long)(seconds * RATE / FRAMES);
    uint64_t faults;

    xvm_pool_options options = {.flags = XVM_POOL_REALTIME | XVM_POOL_SHARED};
    xvm_status status = xvm_pool_create(&s.pool, sizeof(event), 0, EVENTS, &options);
    if (status != XVM_OK) { /* XVM_E_LOCK_LIMIT: this user may not lock that much */
        printf("no real-time pool: %s\n", xvm_status_text(status));
        return status == XVM_E_LOCK_LIMIT ? 0 : 1;
    }
    realtime_start(control, &s);
    warm_up(&s);
    faults = realtime_faults();
    for (; s.callbacks < count; s.callbacks++) {
        double start = realtime_microseconds(), time;

        callback(&s);
        time = realtime_microseconds() - start;
        busy += time;
        worst = time > worst ? time : worst;
        realtime_sleep(count > 1000 ? 1000 : 100);
    }
    faults = realtime_faults() - faults;
    __atomic_store_n(&s.done, 1, __ATOMIC_RELEASE);
    realtime_join();
    printf("%ld callbacks, %ld events, %ld missed; page faults of this thread: %llu\n", s.callbacks,
           s.played, s.missed, (unsigned long long)faults);
    printf("mean %.2f us, worst %.1f us of %.0f us\n", busy / (double)count, worst,
           1e6 * FRAMES / RATE);
    status = xvm_pool_check(&s.pool);
    xvm_pool_destroy(&s.pool);
    return status == XVM_OK ? 0 : 1;
}
