/* fuzz_main.c - runs a fuzz target where there is no libFuzzer:
 *
 *     fuzz_x <file>...                    these inputs
 *     fuzz_x --random <seconds> [seed]    random ones, from seed on, or from the clock
 *
 * A random input is made of its seed alone; the seed of one that fails is printed.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 16, LONGEST = 4096 };

static uint8_t input[MOST];
static uint64_t seed; /* of the input that runs */
static const char *file;

static void tell(int number)
{
    if (file != NULL)
        fprintf(stderr, "signal %d in %s\n", number, file);
    else
        fprintf(stderr, "signal %d: --random 0 %" PRIu64 "\n", number, seed);
    signal(number, SIG_DFL);
    raise(number);
}

static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1d;
}

static void run_seed(void)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
    size_t size = (size_t)(next(&state) >> 40) % LONGEST;

    for (size_t i = 0; i < size; i++)
        input[i] = (uint8_t)(next(&state) >> 32);
    LLVMFuzzerTestOneInput(input, size);
}

static int run_random(double seconds)
{
    clock_t start = clock();
    uint64_t first = seed;

    printf("seed %" PRIu64 "\n", seed);
    fflush(stdout);
    do {
        run_seed();
        seed++;
    } while ((double)(clock() - start) / CLOCKS_PER_SEC < seconds);
    printf("%" PRIu64 " inputs\n", seed - first);
    return 0;
}

static int run_files(int count, char **names)
{
    for (int i = 0; i < count; i++) {
        FILE *f = fopen(file = names[i], "rb");

        if (f == NULL) {
            perror(names[i]);
            return 1;
        }
        LLVMFuzzerTestOneInput(input, fread(input, 1, MOST, f));
        fclose(f);
    }
    printf("%d files\n", count);
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGABRT, tell);
    signal(SIGSEGV, tell);
    if (argc < 3 || strcmp(argv[1], "--random") != 0)
        return run_files(argc - 1, argv + 1);
    seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)time(NULL) << 20;
    return run_random(strtod(argv[2], NULL));
}
