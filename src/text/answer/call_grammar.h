// Grammars of calls, as each family writes them.
#pragma once

#include <optional>
#include <string>

#include "text/answer/forms.h"
#include "text/grammar/schema/schema.h"

namespace hearth {

// Keeps references to its arguments.  Used by one thread, once for each grammar.
class CallGrammar {
 public:
  CallGrammar(const CallForm& form, const Json& tools, const Tokenizer& tokenizer)
      : form_(form), tools_(tools), tokenizer_(tokenizer) {}

  // Whether calls of this form can be held to a grammar.
  static bool is_offered(const CallForm& form);
  // What follows the form's opening mark.
  Result<grammar::Grammar> after_mark();
  // What follows forced_call(form, tool).
  Result<grammar::Grammar> after_name(const std::string& tool);
  // The arguments of one tool alone.
  Result<grammar::Grammar> arguments_of(const std::string& tool);

 private:
  using ExprId = grammar::ExprId;
  struct Tool {
    std::string name;
    const Json* parameters;  // nullptr: none
    bool is_strict;
    std::size_t index;
  };
  std::vector<Tool> tools() const;
  // All tools, or the one of this name: `before` its name, the name, and the rest of its call.
  template <typename Rest>
  Result<ExprId> any_tool(const std::string& name, bool writes_name, const Rest& rest);
  Result<ExprId> schema_of(const Tool& tool);
  Result<ExprId> json_call(const std::string& name, int begun);
  Result<ExprId> named_call(const std::string& name, int begun);
  Result<ExprId> tagged_call(const std::string& name, int begun);
  Result<ExprId> tagged_arguments(const Tool& tool);
  Result<ExprId> tagged_value(const Tool& tool, const Json& schema);
  Result<ExprId> call(const std::string& name, int begun);
  Result<ExprId> text_without(std::string_view mark);
  ExprId mark(std::string_view text);
  ExprId gap();  // lines and blanks that say nothing
  grammar::Grammar finish(ExprId body);

  const CallForm& form_;
  const Json& tools_;
  const Tokenizer& tokenizer_;
  grammar::Grammar grammar_;
  grammar::JsonText text_{grammar_};
};

// A mark of a template: a token where the vocabulary has it as one that is no text.
grammar::ExprId mark_expr(grammar::Grammar& grammar, const Tokenizer& tokenizer,
                          std::string_view text);

}  // namespace hearth
