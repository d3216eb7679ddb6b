/* reload.h - the halves of reload.c that differ by system. */
#ifndef XVM_EXAMPLES_RELOAD_H
#define XVM_EXAMPLES_RELOAD_H

/* Starts this program anew with two arguments and waits for it; its exit code, -1: it cannot be started. */
int reload_start(const char *program, const char *first, const char *second);

/* A folder for files that are wanted for a moment. */
const char *reload_folder(void);
unsigned reload_process(void);

#endif
