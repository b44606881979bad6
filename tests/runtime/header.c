// nysjit.h in C99, pedantic, and from a C program: the structs, the calls and the error of a NULL
// context.
#include "runtime/include/nysjit.h"

#include <string.h>

int main(void) {
  nysjit_run_args args = {.size = sizeof args};
  nysjit_program *program = NULL;
  if (nysjit_abi_version() != NYSJIT_ABI_VERSION || args.q != NULL)
    return 1;
  if (nysjit_prepare(NULL, "{}", NULL, NULL, &program) != NYSJIT_INVALID_ARGUMENT)
    return 2;
  return strcmp(nysjit_last_error(), "context: expected a pointer, found NULL") == 0 ? 0 : 3;
}
