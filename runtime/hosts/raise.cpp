// The exception that an operator of PyTorch ends with, and the deleter of its optional arguments.
#include "runtime/hosts/raise.h"

#include <stdexcept>

void nysjit_hosts_raise(const char *message) { throw std::runtime_error(message); }

void nysjit_hosts_delete_cell(uint64_t *cell) { delete cell; }
