/* typed_array.c - what typed arrays take, and, with a number for WRONG, one thing that they must
 * refuse to compile. It is never run; ExpectRefusal.cmake compiles it. It is C and C++. */
#include "xvm/array.h"

#ifndef WRONG
#define WRONG 0
#endif

struct point {
    int x, y;
};

typedef XVM_ARRAY(struct point) points;
typedef XVM_ARRAY(int) ints;

int look(const points *p);
int use(points *p, ints *n);

int look(const points *p)
{
    int sum = 0;

    xvm_each(q, p) sum += q->x;
    return sum + xvm_last(p)->x + xvm_at(p, 0)->y;
}

int use(points *p, ints *n)
{
    struct point one = {1, 2}, out;
    const int two[2] = {1, 2};
    int sum = xvm_push(p, one) != NULL && xvm_push(n, 3) != NULL && xvm_pop(p, &out);

    sum += xvm_append(n, two, 2) != NULL && xvm_insert(n, 0, NULL, 1) != NULL;
    xvm_each(i, n) sum += *i;
    xvm_each(q, p) sum += q->x;
#if WRONG == 1
    (void)xvm_push(p, 1.5);
#elif WRONG == 2
    (void)xvm_push(n, one);
#elif WRONG == 3
    (void)xvm_append(n, &one, 1);
#elif WRONG == 4
    sum += xvm_pop(n, &out);
#elif WRONG == 5
    (void)xvm_array_push(n, &two);
#elif WRONG == 6
    xvm_last(p)->z = 1;
#elif WRONG == 7
    (void)xvm_insert(p, 0, two, 1);
#endif
    return sum + *xvm_at(n, 0) + xvm_last(p)->y + (xvm_count(n) != 0);
}
