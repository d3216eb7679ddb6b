/* base.h - what every other header of xvm needs: how a promised name is marked, how to
 * cast. */
#ifndef XVM_BASE_H
#define XVM_BASE_H

#include <stddef.h>
#include <stdint.h>

/* Stands before every promised function. Empty: xvm is a static library. */
#ifndef XVM_API
#define XVM_API
#endif

/* Casts that inline functions need, in the words of either language. */
#ifdef __cplusplus
#define XVM_CAST(type, value) (static_cast<type>(value))
#define XVM_ADDRESS(pointer) (reinterpret_cast<uintptr_t>(pointer))
#define XVM_POINTER(address) (reinterpret_cast<void *>(address))
#else
#define XVM_CAST(type, value) ((type)(value))
#define XVM_ADDRESS(pointer) ((uintptr_t)(pointer))
#define XVM_POINTER(address) ((void *)(address))
#endif

#endif
