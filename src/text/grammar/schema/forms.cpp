#include "text/grammar/schema/forms.h"

#include <algorithm>
#include <set>

namespace hearth::grammar {
namespace {

constexpr std::size_t max_places = 16'384;

// Ways to read one value: rules that write it.  Where any JSON may come there is `anything` too.
using Ways = std::set<RuleId>;
constexpr RuleId anything = 0xFFFFFFFF;

class Finder {
 public:
  Finder(const Grammar& grammar, const Forms& forms, const Document& document)
      : grammar_(grammar), forms_(forms), document_(document) {}

  Result<ListRules> run(ExprId root) {
    Ways ways;
    add(ways, root);
    rules_.root = place_of(ways);
    // The list grows.
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      if (wanted_.size() > max_places)
        return document_.wrong(document_.root(), "uniqueItems: needs too many places",
                               ErrorKind::exhausted);
      TRY(look(static_cast<ListRules::PlaceId>(i), Ways(wanted_[i])));
    }
    forget_the_rest();
    return std::move(rules_);
  }

 private:
  ListRules::PlaceId place_of(const Ways& ways) {
    if (ways.empty() || (ways.size() == 1 && ways.contains(anything))) return ListRules::nowhere;
    const auto [found, is_new] =
        ids_.try_emplace(ways, static_cast<ListRules::PlaceId>(wanted_.size()));
    if (is_new) {
      wanted_.push_back(ways);
      rules_.places.emplace_back();
    }
    return found->second;
  }

  void add(Ways& ways, ExprId value) const {
    if (value == grammar_.nothing()) return;
    const Expr& expr = grammar_[value];
    const bool is_known = expr.kind == Expr::Kind::rule && forms_.contains(expr.item);
    ways.insert(is_known ? expr.item : anything);
  }
  void add(Ways& ways, const std::vector<ExprId>& values) const {
    for (const ExprId value : values) add(ways, value);
  }

  Status look(ListRules::PlaceId id, const Ways& ways) {
    std::vector<const Form*> lists, objects;
    const bool is_any = ways.contains(anything);
    for (const RuleId rule : ways)
      if (rule != anything)
        for (const Form& form : forms_.at(rule))
          (form.is_object ? objects : lists).push_back(&form);
    TRY(look_at_lists(id, lists, is_any));
    look_at_objects(id, objects, is_any);
    return Done{};
  }

  Status look_at_lists(ListRules::PlaceId id, const std::vector<const Form*>& lists, bool is_any) {
    const auto asks = [](const Form* list) { return list->is_unique && !list->is_held; };
    const auto repeats = [](const Form* list) { return !list->is_unique && list->may_repeat; };
    const auto asking = std::ranges::find_if(lists, asks);
    ListRules::Place place;
    if (asking != lists.end()) {
      if (is_any || std::ranges::any_of(lists, repeats))
        return document_.unsupported(
            *(*asking)->schema,
            "uniqueItems: true is not offered where another way to read the "
            "same list (anyOf, oneOf, if) does not ask for it");
      place.is_unique = true;
      if (lists.size() == 1) place.values = lists.front()->values;
    }
    std::size_t prefix = 0;
    for (const Form* list : lists) prefix = std::max(prefix, list->prefix.size());
    for (std::size_t i = 0; i <= prefix; ++i) {
      Ways items;
      if (is_any) items.insert(anything);
      for (const Form* list : lists)
        add(items, i < list->prefix.size() ? list->prefix[i] : list->items);
      const ListRules::PlaceId item = place_of(items);
      if (i < prefix)
        place.prefix.push_back(item);
      else
        place.items = item;
    }
    rules_.places[id] = std::move(place);
    return Done{};
  }

  void look_at_objects(ListRules::PlaceId id, const std::vector<const Form*>& objects,
                       bool is_any) {
    std::map<std::string, Ways> members;
    Ways others;
    if (is_any) others.insert(anything);
    for (const Form* object : objects) {
      add(others, object->others);
      for (const auto& [name, value] : object->members) add(members[name], value);
    }
    for (auto& [name, ways] : members) {
      // A form that does not name it may have it as one of its others.
      for (const Form* object : objects)
        if (std::ranges::find(object->members, name, &std::pair<std::string, ExprId>::first) ==
            object->members.end())
          add(ways, object->others);
      if (is_any) ways.insert(anything);
      const ListRules::PlaceId member = place_of(ways);
      rules_.places[id].members.emplace(name, member);
    }
    const ListRules::PlaceId other = place_of(others);
    rules_.places[id].others = other;
  }

  // Places from which no list is reached of which anything is asked are nowhere.
  void forget_the_rest() {
    std::vector<ListRules::Place>& places = rules_.places;
    std::vector<bool> leads(places.size());
    const auto counts = [&](ListRules::PlaceId id) {
      return id != ListRules::nowhere && leads[id];
    };
    for (bool has_changed = true; has_changed;) {
      has_changed = false;
      for (std::size_t i = places.size(); i-- > 0;) {
        const ListRules::Place& place = places[i];
        if (leads[i]) continue;
        leads[i] = place.is_unique || counts(place.items) || counts(place.others) ||
                   std::ranges::any_of(place.prefix, counts) ||
                   std::ranges::any_of(place.members, counts,
                                       &std::pair<const std::string, ListRules::PlaceId>::second);
        has_changed = has_changed || leads[i];
      }
    }
    const auto keep = [&](ListRules::PlaceId& id) {
      if (!counts(id)) id = ListRules::nowhere;
    };
    keep(rules_.root);
    for (ListRules::Place& place : places) {
      keep(place.items);
      keep(place.others);
      std::ranges::for_each(place.prefix, keep);
      for (auto& [name, member] : place.members) keep(member);
    }
  }

  const Grammar& grammar_;
  const Forms& forms_;
  const Document& document_;
  std::map<Ways, ListRules::PlaceId> ids_;
  std::vector<Ways> wanted_;  // by place
  ListRules rules_;
};

}  // namespace

Result<ListRules> find_lists(const Grammar& grammar, const Forms& forms, ExprId root,
                             const Document& document) {
  return Finder(grammar, forms, document).run(root);
}

}  // namespace hearth::grammar
