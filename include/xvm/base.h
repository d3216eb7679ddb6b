/* base.h - what every other header of xvm needs: how a promised name is marked. */
#ifndef XVM_BASE_H
#define XVM_BASE_H

#include <stddef.h>
#include <stdint.h>

/* Stands before every promised function. Empty: xvm is a static library. */
#ifndef XVM_API
#define XVM_API
#endif

#endif
