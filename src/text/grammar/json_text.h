// JsonText: the parts of JSON text as rules of a grammar.
// Source: RFC 8259.  White space is at most a blank, or a new line with its indentation: a model
// that may write any amount of it sometimes writes nothing else.  Numbers stay within what every
// reader of JSON can hold.
#pragma once

#include <optional>

#include "base/json.h"
#include "text/grammar/dfa.h"

namespace hearth::grammar {

// Each rule is made when it is first asked for.  Used by one thread.
class JsonText {
 public:
  explicit JsonText(Grammar& grammar) : grammar_(grammar) {}

  ExprId blank();      // the white space that may stand between tokens
  ExprId character();  // one of a string, escaped or not
  ExprId string();
  ExprId number();
  ExprId integer();
  ExprId value();                     // anything
  ExprId object();                    // any
  ExprId array();                     // any
  ExprId literal(const Json& value);  // this value; members in their order

  // "{" blank and what `members` says, or nothing, "}".
  ExprId braces(ExprId members, bool may_be_empty);
  ExprId brackets(ExprId items, bool may_be_empty);
  ExprId comma() { return grammar_.sequence({grammar_.literal(","), blank()}); }
  ExprId colon() { return grammar_.sequence({grammar_.literal(":"), blank()}); }

 private:
  template <typename Make>
  ExprId rule(std::optional<RuleId>& id, const char* name, const Make& make);
  ExprId enclosed(std::string_view open, ExprId inner, std::string_view close, bool may_be_empty);

  Grammar& grammar_;
  std::optional<RuleId> blank_, character_, string_, number_, integer_, value_, object_, array_;
};

// A number as decimal digits; no zeros that say nothing.
struct Decimal {
  bool is_negative = false;
  std::string whole = "0", fraction;
  bool is_zero() const { return whole == "0" && fraction.empty(); }
};
Decimal decimal_of(const Json& number);

struct NumberLimits {
  struct Bound {
    Json value;
    bool is_open = false;  // the value itself is outside
  };
  std::optional<Bound> low, high;
  std::vector<Json> multiples_of;  // each above 0
  std::vector<Json> excluded;
  bool is_integer = false, is_fraction = false;  // a fraction: no integer
  bool is_free() const {                         // any number, or any integer
    return !low && !high && multiples_of.empty() && excluded.empty() && !is_fraction;
  }
};
// The texts of such numbers, without exponents.  Errors: exhausted.
Result<Dfa> number_dfa(const NumberLimits& limits);

// Any JSON text, or any object.
Grammar json_grammar(bool is_object);

}  // namespace hearth::grammar
