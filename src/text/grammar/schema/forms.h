// Forms: the lists and objects that the rules of a schema write, and the rules of what is in them.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "text/grammar/grammar.h"
#include "text/grammar/schema/document.h"
#include "text/grammar/schema/lists.h"

namespace hearth::grammar {

struct Form {
  bool is_object = false;
  // Of a list: no item may come twice; the grammar sees to it; two items may come.
  bool is_unique = false, is_held = false, may_repeat = true;
  std::vector<std::vector<ExprId>> prefix = {};  // a list's first items, each in several ways
  std::vector<ExprId> items = {};                // its others
  std::vector<std::pair<std::string, ExprId>> members = {};
  std::vector<ExprId> others = {};       // members with other keys
  std::vector<std::string> values = {};  // as ListRules::Place
  const Json* schema = nullptr;          // for messages
};

// By rule; what is in none of them is any JSON.
using Forms = std::map<RuleId, std::vector<Form>>;

// Errors: unsupported: a list of which one way to read the text asks what another does not;
// exhausted.
Result<ListRules> find_lists(const Grammar& grammar, const Forms& forms, ExprId root,
                             const Document& document);

}  // namespace hearth::grammar
