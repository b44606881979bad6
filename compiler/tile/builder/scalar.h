// Scalar: an integer that is a constant, an expression over the program's run-time symbols, or a
// value in a kernel. Constants and host expressions fold; a host expression used inside a kernel
// becomes a kernel parameter by itself, and the same expression written into the plan gives the
// runtime its value.
//
// Every operand type here converts implicitly and records where it was written, so that each
// operation carries the template's file:line.
#pragma once
#include "runtime/plan/expression.h"

#include <cstdint>
#include <source_location>

namespace nysjit {

class Kernel;
using SourceLocation = std::source_location;

/// Thrown inside the compiler when a template misuses the builder; caught where the program is
/// built.
struct TemplateError {
  std::string message; // "templates/causal.cpp:41: ..."
};
[[noreturn]] void failTemplate(SourceLocation where, const std::string &message);

class Scalar {
public:
  Scalar() : Scalar(0) {}
  Scalar(int constant) : host(static_cast<int64_t>(constant)) {}
  Scalar(int64_t constant) : host(constant) {}
  explicit Scalar(Expression expression, bool isWide = false)
      : host(std::move(expression)), wide(isWide) {}
  Scalar(Kernel *owner, void *irValue, bool isWide) : kernel(owner), value(irValue), wide(isWide) {}

  bool isConstant() const { return !value && host.isConstant(); }
  bool isHost() const { return !value; } // constant or host expression
  int64_t constant() const { return host.constant(); }
  const Expression &expression() const { return host; }
  bool isWide() const { return wide; } // 64 bits in a kernel; else 32
  Kernel *owner() const { return kernel; }
  void *irValue() const { return value; }

private:
  Expression host;
  Kernel *kernel = nullptr;
  void *value = nullptr; // mlir::Value, opaque so that templates need no MLIR header
  bool wide = false;
};

/// A Scalar as an operand, with the place it was written.
struct ScalarOperand {
  ScalarOperand(int constant, SourceLocation loc = SourceLocation::current())
      : scalar(constant), where(loc) {}
  ScalarOperand(int64_t constant, SourceLocation loc = SourceLocation::current())
      : scalar(constant), where(loc) {}
  ScalarOperand(Scalar s, SourceLocation loc = SourceLocation::current())
      : scalar(std::move(s)), where(loc) {}
  Scalar scalar;
  SourceLocation where;
};

Scalar operator+(ScalarOperand a, ScalarOperand b);
Scalar operator-(ScalarOperand a, ScalarOperand b);
Scalar operator*(ScalarOperand a, ScalarOperand b);
/// Quotient and remainder of numbers that are not negative.
Scalar operator/(ScalarOperand a, ScalarOperand b);
Scalar operator%(ScalarOperand a, ScalarOperand b);
Scalar ceilDiv(ScalarOperand a, ScalarOperand b);
Scalar min(ScalarOperand a, ScalarOperand b);
Scalar max(ScalarOperand a, ScalarOperand b);
Scalar operator<(ScalarOperand a, ScalarOperand b);
Scalar operator<=(ScalarOperand a, ScalarOperand b);
Scalar operator==(ScalarOperand a, ScalarOperand b);
// Comparisons are 0 or 1, and so are these of what is.
Scalar operator&(ScalarOperand a, ScalarOperand b);
Scalar operator|(ScalarOperand a, ScalarOperand b);
Scalar operator!(ScalarOperand a);
/// `chosen` where the condition is not 0, else `otherwise`.
Scalar select(ScalarOperand condition, ScalarOperand chosen, ScalarOperand otherwise);

} // namespace nysjit
