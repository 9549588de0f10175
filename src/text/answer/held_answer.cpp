#include "text/answer/held_answer.h"

#include "base/ascii.h"
#include "text/answer/call_grammar.h"

namespace hearth {
namespace {

using grammar::Grammar;
using Masks = Constraint::Masks;

// The mark alone, after at most so many line ends.
Result<Masks> mark_masks(GrammarEngine& engine, std::string_view mark, std::uint32_t lines) {
  const std::string key = (lines == 0 ? "mark " : "mark after thought ") + std::string(mark);
  return engine.compile(key, [&]() -> Result<Grammar> {
    Grammar own;
    const grammar::ExprId before = own.repeat(own.literal("\n"), 0, lines);
    const grammar::ExprId body = mark_expr(own, engine.tokenizer(), mark);
    own.set_root(own.define("mark", own.sequence({before, body})));
    return own;
  });
}

// A call that comes to be when its mark does.
Status add_sections(GrammarEngine& engine, const CallForm& form, const HeldAnswer& asked,
                    const std::string& key, Constraint& constraint) {
  if (form.syntax == CallSyntax::harmony) {
    for (const Json& tool : asked.tools.as_array()) {
      const std::string name = tool.find("function")->find("name")->as_string();
      const Masks masks = TRY(engine.compile("arguments " + name + key, [&] {
        return CallGrammar(form, asked.tools, engine.tokenizer()).arguments_of(name);
      }));
      // A name ends before a blank or a mark: another may begin with it.
      constraint.sections.push_back(
          {{"to=functions." + name + " ", "<|message|>"}, nullptr, nullptr, masks});
      constraint.sections.push_back(
          {{"to=functions." + name + "<|", "message|>"}, nullptr, nullptr, masks});
    }
    return Done{};
  }
  if (form.open.empty()) return Done{};  // nothing tells such a call from text before it is whole
  Constraint::Section section;
  section.marks = {std::string(form.open)};
  section.grammar = TRY(engine.compile("call " + key, [&] {
    return CallGrammar(form, asked.tools, engine.tokenizer()).after_mark();
  }));
  if (asked.rule.kind != AnswerRule::Kind::none) {
    section.first = TRY(mark_masks(engine, trimmed_end(form.open), 0));
    section.after_thought = TRY(mark_masks(engine, trimmed_end(form.open), 2));
  }
  constraint.sections.push_back(std::move(section));
  return Done{};
}

Status add_calls(GrammarEngine& engine, const AnswerForm& form, const HeldAnswer& asked,
                 Constraint& constraint) {
  if (!form.calls || asked.tools.size() == 0 || !CallGrammar::is_offered(*form.calls))
    return Done{};
  const std::string key = std::string(form.calls->family) + " " + write_json(asked.tools);
  constraint.is_single = asked.is_single;
  if (asked.has_begun_call)
    constraint.begun = TRY(engine.compile("begun " + asked.tool + " " + key, [&] {
      return CallGrammar(*form.calls, asked.tools, engine.tokenizer()).after_name(asked.tool);
    }));
  return add_sections(engine, *form.calls, asked, key, constraint);
}

}  // namespace

Result<std::shared_ptr<const Constraint>> hold_answer(GrammarEngine& engine, const AnswerForm& form,
                                                      const HeldAnswer& asked) {
  auto constraint = std::make_shared<Constraint>();
  const bool has_rule = asked.rule.kind != AnswerRule::Kind::none;
  const bool is_harmony = form.calls && form.calls->syntax == CallSyntax::harmony;
  if (has_rule) {
    constraint->answer = TRY(engine.compile(asked.rule));
    if (is_harmony) constraint->answer_marks = {"<|channel|>final", "<|message|>"};
  }
  if (form.thoughts && !is_harmony) {
    constraint->thought_close = trimmed_end(form.thoughts->close);
    constraint->is_thinking = asked.is_thinking;
    if (has_rule) {
      constraint->after_thought = TRY(engine.compile(asked.rule, true));
      if (asked.may_think)
        constraint->thought_open = TRY(mark_masks(engine, trimmed_end(form.thoughts->open), 0));
    }
  }
  TRY(add_calls(engine, form, asked, *constraint));
  const bool asks = has_rule || constraint->begun || !constraint->sections.empty();
  return asks ? std::shared_ptr<const Constraint>(std::move(constraint)) : nullptr;
}

}  // namespace hearth
