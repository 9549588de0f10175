// Emitter: the rules for a document's schemas.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "text/grammar/schema/forms.h"
#include "text/grammar/schema/schema.h"
#include "text/grammar/schema/shape.h"

namespace hearth::grammar {

// Used by one thread, once.
class Emitter {
 public:
  Emitter(Grammar& grammar, JsonText& text, Document& document)
      : grammar_(grammar), text_(text), document_(document), shaper_(document) {}

  Result<ExprId> run();
  // After run(): lists that the grammar does not keep from holding an item twice.
  bool has_open_lists() const { return has_open_lists_; }
  const Forms& forms() const { return forms_; }

 private:
  // What satisfies all of the schemas; a rule of its own, shared by all places that ask for it.
  ExprId value_of(std::vector<Node> all);
  Result<ExprId> emit(const std::vector<Node>& all);
  Result<ExprId> emit_values(const std::vector<Node>& all, const std::vector<const Json*>& values,
                             std::set<std::string>& written);
  Result<ExprId> emit_number(const NumberLimits& limits);
  Result<ExprId> emit_string(const StringLimits& limits);
  Result<Dfa> string_dfa(const StringLimits& limits);
  Result<ExprId> emit_array(const ArrayLimits& limits);
  Result<ExprId> emit_array_with(const ArrayLimits& limits, const ArrayLimits::Contains& contains);
  // Nothing: there are too many ways.
  Result<std::optional<ExprId>> emit_unique(const ArrayLimits& limits);
  Result<ExprId> emit_plain_array(const ArrayLimits& limits);
  Status open_list(const ArrayLimits& limits);
  // The values that satisfy all; nothing: they cannot be counted out.
  Result<std::optional<std::vector<Json>>> few_values(const std::vector<Node>& all);
  std::vector<Node> item(const ArrayLimits& limits, std::size_t index) const;
  ExprId comma(ExprId what) { return grammar_.sequence({text_.comma(), what}); }

  struct Member {
    ExprId text;  // "name": value
    bool is_required;
  };
  Result<ExprId> emit_object(const ObjectLimits& limits);
  Result<ExprId> emit_foreign(ObjectLimits limits);
  Result<std::vector<Member>> members(const ObjectLimits& limits, std::vector<std::string>& names);
  Result<std::vector<Node>> property(const ObjectLimits& limits, const std::string& name);
  Result<ExprId> other_member(const ObjectLimits& limits, const std::vector<std::string>& names);
  Result<std::optional<Dfa>> key_dfa(const ObjectLimits& limits);
  Result<ExprId> join(const std::vector<Member>& list, ExprId other, const ObjectLimits& limits);
  Result<ExprId> join_counted(const std::vector<Member>& list, ExprId other,
                              const ObjectLimits& limits);
  Error limit_reached(std::string_view what) const;
  Form& begin_form(bool is_object);
  Form& form() { return forms_[rule_].back(); }  // that is being written

  Grammar& grammar_;
  JsonText& text_;
  Document& document_;
  Shaper shaper_;
  Forms forms_;
  bool has_open_lists_ = false;
  RuleId rule_ = 0;  // that is being written
  std::map<std::vector<Node>, RuleId> rules_;
  std::vector<std::vector<Node>> open_;  // rules that are declared and not yet defined
  const Json* here_ = nullptr;           // the schema whose rule is being written
};

}  // namespace hearth::grammar
