// pprint.pformat: values over several lines where one is too narrow, dicts in the order of keys.
// Source: Python 3.11, "pprint — Data pretty printer".
#include <algorithm>

#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"
#include "text/jinja/sorting.h"

namespace hearth::jinja {
namespace {

constexpr std::size_t page_width = 80;

class PrettyPrinter {
 public:
  PrettyPrinter(Interpreter& in, TextBuilder& out) : in_(in), out_(out) {}

  // `after`: characters that follow on the last line, closing brackets and commas.
  Status print(const Value& value, std::size_t indent, std::size_t after) {
    const Interpreter::Nest nest(in_);
    TRY(nest.check());
    const Value plain = TRY(in_key_order(value));
    TextBuilder line(in_);
    TRY(print_quoted(in_, line, plain));
    const bool breaks = line.text().view().size() + indent + after > page_width &&
                        (value.is_sequence() || value.kind() == Kind::dict);
    if (!breaks) {
      out_.append(line.text());
      return out_.check();
    }
    return plain.kind() == Kind::dict ? print_dict(plain.as_dict(), indent, after)
                                      : print_list(plain, indent, after);
  }

 private:
  // The value with every dict in it sorted by key, where its keys can be compared.
  Result<Value> in_key_order(const Value& value) {
    const Interpreter::Nest nest(in_);
    TRY(nest.check());
    TRY(in_.spend(4));
    if (value.is_sequence()) {
      std::vector<Value> items;
      for (const Value& item : value.as_sequence().items) items.push_back(TRY(in_key_order(item)));
      const Value made = value.kind() == Kind::list ? TRY(in_.list(std::move(items)))
                                                    : TRY(in_.tuple(std::move(items)));
      made.as_sequence().from_input = value.as_sequence().from_input;
      return made;
    }
    if (value.kind() != Kind::dict) return value;
    std::vector<Value> keys;
    for (const auto& entry : value.as_dict().entries) keys.push_back(entry.key);
    const auto ordered = sorted(in_, keys, keys, false);
    if (ordered) keys = *ordered;
    const auto made = make<Dict>();
    made->from_input = value.as_dict().from_input;
    for (const Value& key : keys) made->set(key, TRY(in_key_order(*value.as_dict().find(key))));
    return in_.dict(made);
  }

  void new_line(std::size_t indent) { out_.append("\n" + std::string(indent, ' ')); }

  Status print_list(const Value& list, std::size_t indent, std::size_t after) {
    const auto& items = list.as_sequence().items;
    out_.append(list.kind() == Kind::list ? "[" : "(");
    for (std::size_t i = 0; i < items.size(); ++i) {
      const bool last = i + 1 == items.size();
      TRY(print(items[i], indent + 1, last ? after + 1 : 1));
      if (last) break;
      out_.append(",");
      new_line(indent + 1);
    }
    out_.append(list.kind() == Kind::list ? "]" : items.size() == 1 ? ",)" : ")");
    return out_.check();
  }

  Status print_dict(const Dict& dict, std::size_t indent, std::size_t after) {
    out_.append("{");
    for (std::size_t i = 0; i < dict.entries.size(); ++i) {
      const bool last = i + 1 == dict.entries.size();
      const std::size_t before = out_.size();
      TRY(print_quoted(in_, out_, dict.entries[i].key));
      out_.append(": ");
      const std::size_t used = out_.size() - before;
      TRY(print(dict.entries[i].value, indent + 1 + used, last ? after + 1 : 1));
      if (last) break;
      out_.append(",");
      new_line(indent + 1);
    }
    out_.append("}");
    return out_.check();
  }

  Interpreter& in_;
  TextBuilder& out_;
};

}  // namespace

Status print_pretty(Interpreter& in, TextBuilder& out, const Value& value) {
  return PrettyPrinter(in, out).print(value, 0, 0);
}

}  // namespace hearth::jinja
