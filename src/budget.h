/* budget.h - what regions ask of budgets. */
#ifndef XVM_SRC_BUDGET_H
#define XVM_SRC_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xvm/budget.h"

/* Charges a budget and all above it: XVM_OK, or XVM_E_BUDGET and nothing is charged; who refused is
 * noted for xvm_explain. Callbacks have been called, and it was tried once more. NULL is XVM_OK. */
xvm_status xvm_os_budget_charge(xvm_budget *budget, size_t size);

/* Returns a charge. */
void xvm_os_budget_return(xvm_budget *budget, size_t size);

/* The system refused size bytes: calls the callbacks of the budget and of all above it. False when
 * none was called, so that trying again is of no use. */
bool xvm_os_budget_press(xvm_budget *budget, size_t size);

/* Sleeps before the next of the tries that xvm_set_commit_retry granted; round counts from 0. False
 * when there are no more. */
bool xvm_os_commit_retry(unsigned round);

/* What the container has left, less a margin for page tables, stacks and other processes; UINT64_MAX
 * where it has no limit. */
uint64_t xvm_os_container_room(void);

#endif
