/* system.h - what the tool needs of each system: tools/posix and tools/win32 provide all of it. */
#ifndef XVM_TOOLS_SYSTEM_H
#define XVM_TOOLS_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>

/* Where standard output goes. */
typedef struct terminal {
    bool is_one;    /* somebody looks at it */
    bool colours;   /* it takes the escapes of ECMA-48 */
    size_t columns; /* 0: it does not tell */
} terminal;

terminal look_at_terminal(void);

/* Something that makes a call of xvm fail for a reason that is real. */
typedef struct provocation {
    const char *title;
    bool (*run)(void); /* true: the last call failed; false: it cannot be had here */
} provocation;

/* The limits of this system. The last ones may spoil the process for what comes after them. */
extern const provocation system_provocations[];
extern const size_t system_provocation_count;

#endif
