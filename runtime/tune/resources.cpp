// By a table of their names.
#include "runtime/tune/resources.h"

#include <algorithm>

namespace nysjit::tune {

namespace {

constexpr struct {
  const char *name;
  int64_t KernelResources::*member;
} rows[] = {{"scratch_bytes", &KernelResources::scratchBytes},
            {"shared_bytes", &KernelResources::sharedBytes},
            {"registers", &KernelResources::registers},
            {"spill_bytes", &KernelResources::spillBytes}};

} // namespace

KernelResources most(const KernelResources &one, const KernelResources &other) {
  KernelResources both;
  for (const auto &row : rows)
    both.*row.member = std::max(one.*row.member, other.*row.member);
  return both;
}

Json resourcesObject(const KernelResources &resources) {
  Json object = Json::object();
  for (const auto &row : rows)
    if (resources.*row.member != 0)
      object[row.name] = resources.*row.member;
  return object;
}

KernelResources resourcesFrom(const Json &object) {
  KernelResources resources;
  for (const auto &row : rows)
    if (const Json *found = object.find(row.name); found && found->is_number())
      resources.*row.member = int64_t(found->get<double>());
  return resources;
}

} // namespace nysjit::tune
