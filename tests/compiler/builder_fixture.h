// The fixture of the template builder's tests: one kernel built, its IR and its errors.
#pragma once
#include "compiler/tile/builder/emitter.h"
#include "compiler/worker/pipeline.h"

#include <gtest/gtest.h>

namespace nysjit {

class Builder : public testing::Test {
protected:
  Builder() : context(mlir::MLIRContext::Threading::DISABLED) {
    loadDialects(context);
    module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
    holder.op = *module;
    spec.layout = Layout::ExactCausal;
    spec.headDim = 16;
  }
  /// A program with q [n, 16] and one kernel.
  Plan build(const std::function<void(Kernel &, const TensorRef &)> &body) {
    Program program(holder, spec, {}, "cpu:native", chooser);
    const TensorRef q = program.buffer("q", {program.symbol("n"), 16});
    program.kernel("k", program.symbol("n"), [&](Kernel &k) { body(k, q); });
    auto plan = program.finish();
    EXPECT_TRUE(plan.ok());
    return *plan;
  }
  std::string text() {
    std::string result;
    llvm::raw_string_ostream stream(result);
    module->print(stream);
    return result;
  }
  int count(const std::string &what) {
    int found = 0;
    const std::string all = text();
    for (size_t at = all.find(what); at != std::string::npos; at = all.find(what, at + 1))
      ++found;
    return found;
  }
  std::string errorOf(const std::function<void(Kernel &, const TensorRef &)> &body) {
    try {
      build(body);
    } catch (const TemplateError &error) {
      return error.message;
    }
    return "";
  }
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  Program::Module holder;
  BlockChooser chooser; // templates' own sizes
  KernelSpec spec;
};

} // namespace nysjit
