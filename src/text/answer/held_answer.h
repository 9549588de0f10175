// What a request asks of an answer, as a constraint in the form in which the model writes.
#pragma once

#include <memory>
#include <string>

#include "text/answer/answer.h"
#include "text/grammar/constraint.h"
#include "text/grammar/engine.h"

namespace hearth {

struct HeldAnswer {
  AnswerRule rule = {};         // of the text after thoughts; none: it is free
  Json tools = {};              // in OpenAI's form; null: none
  bool is_thinking = false;     // the prompt has begun a thought
  bool may_think = true;        // the answer may begin one
  bool has_begun_call = false;  // the prompt ends with forced_call()
  std::string tool = {};        // that was named there
  bool is_single = false;       // no second call
};

// nullptr: nothing is asked.  Calls are held to their tools' schemas in the families whose form
// allows it; where a tool that is not "strict" has a schema that cannot be said as a grammar, its
// arguments may be any object, and its lists may hold an item twice.  Errors: those of
// GrammarEngine::compile; for a strict tool, with its place: "tools[1] 'name': #/properties/a:
// ...".
Result<std::shared_ptr<const Constraint>> hold_answer(GrammarEngine& engine, const AnswerForm& form,
                                                      const HeldAnswer& asked);

}  // namespace hearth
