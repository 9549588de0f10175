#include "text/grammar/engine.h"

#include <fmt/core.h>

#include <array>

#include "text/grammar/gbnf.h"
#include "text/grammar/pattern.h"
#include "text/grammar/schema/schema.h"

namespace hearth {
namespace {

using namespace grammar;

constexpr std::size_t max_kept = 64;
constexpr std::size_t max_kept_bytes = 192u << 20;  // of programs and masks

Error too_long(std::string_view what, std::size_t bytes) {
  return Error(ErrorKind::exhausted,
               fmt::format("{} of {} bytes, of at most {}", what, bytes, max_source_bytes));
}

Result<Grammar> choice_grammar(const std::vector<std::string>& choices) {
  if (choices.empty() || choices.size() > max_choices)
    return Error(ErrorKind::invalid,
                 fmt::format("{} choices: needs 1 to {}", choices.size(), max_choices));
  Grammar grammar;
  std::vector<ExprId> parts;
  std::size_t bytes = 0;
  for (const std::string& text : choices) {
    parts.push_back(grammar.literal(text));
    bytes += text.size();
    if (bytes > max_source_bytes) return too_long("choices", bytes);
  }
  grammar.set_root(grammar.define("root", grammar.choice(std::move(parts))));
  return grammar;
}

Grammar with_blank(Grammar grammar) {
  const ExprId line = grammar.literal("\n");
  const ExprId body = grammar.rule(grammar.root());
  grammar.set_root(grammar.define("answer", grammar.sequence({grammar.repeat(line, 0, 2), body})));
  return grammar;
}

// A string of a counted length: where its characters are read says the same of every length.
Grammar counted_string() {
  Grammar grammar;
  JsonText text(grammar);
  const ExprId quote = grammar.literal("\"");
  const ExprId characters = grammar.repeat(text.character(), 1, max_repeat);
  grammar.set_root(grammar.define("root", grammar.sequence({quote, characters, quote})));
  return grammar;
}

// The sets of JSON's strings, numbers and gaps, which all schemas share: found here, before a token
// waits for them and with it all answers of its batch.
void find_common_sets(const std::shared_ptr<MaskStore>& store) {
  for (Grammar& grammar : std::array{json_grammar(false), counted_string()}) {
    const auto program = grammar::compile(std::move(grammar));
    if (!program) return;
    Masks masks(*program, store);
    for (StateId state = 0; state + 1 < (*program)->states.size(); ++state)
      if ((*program)->reads(state)) masks.at(state, 0);
  }
}

std::string key_of(const AnswerRule& rule) {
  std::string key = fmt::format("{} {}", static_cast<int>(rule.kind), rule.text);
  if (rule.kind == AnswerRule::Kind::schema) key += write_json(rule.schema);
  for (const std::string& choice : rule.choices) key += fmt::format("{} {}", choice.size(), choice);
  return key;
}

}  // namespace

Result<Grammar> grammar_of(const AnswerRule& rule, const Tokenizer& tokenizer) {
  switch (rule.kind) {
    case AnswerRule::Kind::none:
      break;
    case AnswerRule::Kind::json:
      return json_grammar(false);
    case AnswerRule::Kind::json_object:
      return json_grammar(true);
    case AnswerRule::Kind::schema: {
      const std::size_t bytes = write_json(rule.schema).size();
      if (bytes > max_source_bytes) return too_long("a schema", bytes);
      return schema_grammar(rule.schema);
    }
    case AnswerRule::Kind::gbnf:
      return parse_gbnf(rule.text, &tokenizer);
    case AnswerRule::Kind::pattern: {
      Grammar grammar;
      const ExprId body = TRY(parse_pattern(grammar, rule.text, {}));
      grammar.set_root(grammar.define("root", body));
      return grammar;
    }
    case AnswerRule::Kind::choice:
      return choice_grammar(rule.choices);
  }
  return Error(ErrorKind::invalid, "no rule for the answer");
}

Result<std::shared_ptr<Masks>> GrammarEngine::compile(const AnswerRule& rule,
                                                      bool may_begin_blank) {
  return compile(key_of(rule) + (may_begin_blank ? "+" : "-"), [&]() -> Result<Grammar> {
    Grammar grammar = TRY(grammar_of(rule, tokenizer_));
    return may_begin_blank ? with_blank(std::move(grammar)) : std::move(grammar);
  });
}

Result<std::shared_ptr<Masks>> GrammarEngine::compile(const std::string& key, const Build& build) {
  {
    const std::lock_guard lock(mutex_);
    for (auto it = kept_.begin(); it != kept_.end(); ++it)
      if (it->key == key) {
        kept_.splice(kept_.begin(), kept_, it);
        return it->masks;
      }
  }
  Grammar grammar = TRY(build());
  auto program = TRY(grammar::compile(std::move(grammar)));
  auto masks = std::make_shared<Masks>(std::move(program), store());
  masks->prepare();
  keep(key, masks);
  return masks;
}

std::shared_ptr<MaskStore> GrammarEngine::store() {
  const std::lock_guard lock(mutex_);
  if (store_) return store_;
  store_ = std::make_shared<MaskStore>(tokenizer_);
  find_common_sets(store_);
  return store_;
}

void GrammarEngine::keep(const std::string& key, std::shared_ptr<Masks> masks) {
  const std::lock_guard lock(mutex_);
  kept_.push_front({key, std::move(masks)});
  std::size_t bytes = 0, count = 0;
  for (auto it = kept_.begin(); it != kept_.end();) {
    bytes += it->key.size() + it->masks->program()->bytes() + it->masks->bytes();
    const bool is_over = ++count > max_kept || (bytes > max_kept_bytes && count > 1);
    it = is_over ? kept_.erase(it) : std::next(it);
  }
}

}  // namespace hearth
