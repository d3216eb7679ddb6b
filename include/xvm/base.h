/* base.h - what every other header of xvm needs: how a promised name is marked, and casts. */
#ifndef XVM_BASE_H
#define XVM_BASE_H

#include <stddef.h>
#include <stdint.h>

/* Stands before every promised function. Empty, but while a shared library is made: its build says
 * then how a name is exported. */
#ifndef XVM_API
#define XVM_API
#endif

/* What inline functions convert, without a warning in either language: values and void pointers,
 * a pointer to its address and back. */
#ifdef __cplusplus
#define XVM_CAST(type, value) (static_cast<type>(value))
#define XVM_ADDRESS(pointer) (reinterpret_cast<uintptr_t>(pointer))
#define XVM_POINTER(type, address) (reinterpret_cast<type>(address))
#else
#define XVM_CAST(type, value) ((type)(value))
#define XVM_ADDRESS(pointer) ((uintptr_t)(pointer))
#define XVM_POINTER(type, address) ((type)(address))
#endif

#endif
