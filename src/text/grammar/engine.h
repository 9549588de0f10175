// GrammarEngine: the grammars that a model's answers are held to, compiled once and kept.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/grammar/masks.h"

namespace hearth {

// What a whole answer must be.
struct AnswerRule {
  enum class Kind {
    none,
    json,         // any JSON value
    json_object,  // any JSON object
    schema,       // JSON that satisfies `schema`
    gbnf,         // what the grammar `text` says
    pattern,      // a match of the regular expression `text`, from end to end
    choice,       // one of `choices`
  } kind = Kind::none;
  Json schema = {};
  std::string text = {};
  std::vector<std::string> choices = {};
};

// Of one tokenizer, which must outlive it.  Thread-safe.
class GrammarEngine {
 public:
  explicit GrammarEngine(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // Errors: invalid, unsupported, exhausted: what is wrong with the rule, with the place in it.
  // may_begin_blank: up to two line ends may come before it.
  Result<std::shared_ptr<grammar::Masks>> compile(const AnswerRule& rule,
                                                  bool may_begin_blank = false);

  // The grammar that `build` makes, or the one that was made for the same key before.
  using Build = std::function<Result<grammar::Grammar>()>;
  Result<std::shared_ptr<grammar::Masks>> compile(const std::string& key, const Build& build);

  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  struct Kept {
    std::string key;
    std::shared_ptr<grammar::Masks> masks;
  };
  std::shared_ptr<grammar::MaskStore> store();
  void keep(const std::string& key, std::shared_ptr<grammar::Masks> masks);

  const Tokenizer& tokenizer_;
  std::mutex mutex_;
  std::shared_ptr<grammar::MaskStore> store_;  // made when it is first needed
  std::list<Kept> kept_;                       // the latest used first
};

Result<grammar::Grammar> grammar_of(const AnswerRule& rule, const Tokenizer& tokenizer);

}  // namespace hearth
