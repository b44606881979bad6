// Reading a plan's JSON: one object's fields, each an error that names its place if it is not what
// it must be.
#pragma once
#include "runtime/base/json.h"
#include "runtime/base/result.h"
#include "runtime/plan/plan.h"

#include <initializer_list>
#include <string>

namespace nysjit {

/// InvalidJson at "plan." + where.
Error planError(const std::string &where, const std::string &expected, const std::string &found);
/// JSON in a message, cut at 80 characters.
std::string shown(const Json &json);

/// One object of the plan, its place for messages, and the keys it may have. The object stays where
/// it is meanwhile.
class PlanFields {
public:
  static Result<PlanFields> open(const Json &json, std::string where,
                                 std::initializer_list<const char *> allowed);

  /// "kernels[2].name"
  std::string at(const char *key) const { return place.empty() ? key : place + "." + key; }
  bool has(const char *key) const { return object->contains(key); }
  Result<std::string> string(const char *key) const;
  Result<std::string> name(const char *key) const;
  Result<bool> boolean(const char *key) const;
  Result<Expression> expression(const char *key) const;
  Result<const Json *> list(const char *key, size_t atMost) const;
  Result<int64_t> number(const char *key, int64_t least, int64_t most) const;
  Result<BlockConfig> blockSizes(const char *key) const;
  /// An object's text.
  Result<std::string> objectText(const char *key) const;

  /// The expression, or its error at `place`.
  static Result<Expression> located(Result<Expression> parsed, const std::string &place);

private:
  PlanFields(const Json &json, std::string where) : object(&json), place(std::move(where)) {}
  const Json *object;
  std::string place;
};

/// `variable = expression.value()`, or returns the error.
#define NYSJIT_READ(variable, expression)                                                          \
  do {                                                                                             \
    auto nysjitRead = (expression);                                                                \
    if (!nysjitRead)                                                                               \
      return nysjitRead.takeError();                                                               \
    variable = std::move(*nysjitRead);                                                             \
  } while (false)

/// Names are unique, and what refers to something else refers to what is there.
Status checkPlanReferences(const Plan &plan);

} // namespace nysjit
