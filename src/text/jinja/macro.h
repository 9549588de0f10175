// Macro: a function written in the template, together with the variables around it.
#pragma once

#include "text/jinja/interpreter.h"

namespace hearth::jinja {

class Macro final : public Thing {
 public:
  // `closure` belongs to the interpreter, which keeps it while any Macro can be called.
  Macro(const Function& function, Frame* closure, std::string_view name)
      : function_(function), closure_(closure), name_(name) {}

  std::string_view type_name() const override { return "Macro"; }
  bool callable() const override { return true; }
  Result<Value> call(Interpreter& in, Arguments arguments) override;
  Result<Value> attribute(Interpreter& in, std::string_view name) override;
  Status print(Interpreter& in, TextBuilder& out) override;

 private:
  const Function& function_;
  Frame* closure_;
  std::string_view name_;  // empty: the body of a call block
};

}  // namespace hearth::jinja
