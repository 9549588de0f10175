#include "text/jinja/json_text.h"

#include <fmt/core.h>

#include <cmath>

#include "base/utf8.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"
#include "text/jinja/sorting.h"

namespace hearth::jinja {
namespace {

void append_unit(std::string& out, std::uint32_t unit) { out += fmt::format("\\u{:04x}", unit); }

void append_json_run(std::string& out, std::string_view run, bool ascii_only) {
  for (std::size_t i = 0; i < run.size();) {
    const Decoded next = decode_utf8(run.substr(i));
    static constexpr std::string_view plain = "\"\\\n\r\t\f\b", letters = "\"\\nrtfb";
    const auto known =
        next.point < 128 ? plain.find(static_cast<char>(next.point)) : std::string_view::npos;
    if (known != std::string_view::npos) {
      (out += '\\') += letters[known];
    } else if (next.point < 0x20 || (ascii_only && next.point == 0x7F)) {
      append_unit(out, next.point);
    } else if (next.point < 0x80 || !ascii_only) {
      out.append(run.substr(i, next.size));
    } else if (next.point < 0x10000) {
      append_unit(out, next.point);
    } else {
      append_unit(out, 0xD800 + ((next.point - 0x10000) >> 10));
      append_unit(out, 0xDC00 + ((next.point - 0x10000) & 0x3FF));
    }
    i += next.size;
  }
}

class JsonPrinter {
 public:
  JsonPrinter(Interpreter& in, TextBuilder& out, const JsonForm& form)
      : in_(in), out_(out), form_(form) {}

  Status print(const Value& value, bool trusted) {
    const Interpreter::Nest nest(in_);
    TRY(nest.check());
    TRY(in_.spend(4));
    const bool own = trusted && !value.from_input();
    switch (value.kind()) {
      case Kind::none:
        out_.append("null", own);
        break;
      case Kind::boolean:
        out_.append(value.as_boolean() ? "true" : "false", own);
        break;
      case Kind::integer:
        out_.append(std::to_string(value.as_integer()), own);
        break;
      case Kind::real:
        out_.append(number(value.as_real()), own);
        break;
      case Kind::string:
        print_text(value.as_str(), trusted);
        break;
      case Kind::list:
      case Kind::tuple:
        return print_list(value.as_sequence(), trusted);
      case Kind::dict:
        return print_dict(value.as_dict(), trusted);
      default:
        return in_.error(
            fmt::format("Object of type {} is not JSON serializable", type_name(value)));
    }
    return out_.check();
  }

 private:
  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return real_text(value);
  }

  void print_text(const Str& text, bool trusted) {
    const bool own = trusted && text.text.all_trusted();
    out_.append("\"", own);
    text.text.for_runs(0, text.text.size(), [&](std::string_view run, bool run_trusted) {
      std::string piece;
      append_json_run(piece, run, form_.ascii_only);
      out_.append(piece, run_trusted);
    });
    out_.append("\"", own);
  }

  void separator(const Marked& text, bool trusted) {
    if (trusted)
      out_.append(text);
    else
      out_.append(text.view(), false);
  }

  void new_line(bool trusted) {
    if (!form_.multi_line) return;
    out_.append("\n", trusted);
    for (int i = 0; i < level_; ++i) separator(form_.indent, trusted);
  }

  Status print_list(const Sequence& list, bool trusted) {
    const bool own = trusted && !list.from_input;
    if (list.items.empty()) {
      out_.append("[]", own);
      return out_.check();
    }
    out_.append("[", own);
    ++level_;
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      if (i) separator(form_.item_separator, own);
      new_line(own);
      TRY(print(list.items[i], own));
    }
    --level_;
    new_line(own);
    out_.append("]", own);
    return out_.check();
  }

  Status print_key(const Value& key, bool trusted) {
    if (key.is_string()) {
      print_text(key.as_str(), trusted);
      return Done{};
    }
    if (!key.is_number() && !key.is_none())
      return in_.error(
          fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
    out_.append("\"", trusted);
    TRY(print(key, trusted));
    out_.append("\"", trusted);
    return Done{};
  }

  Status print_dict(const Dict& dict, bool trusted) {
    const bool own = trusted && !dict.from_input;
    if (dict.entries.empty()) {
      out_.append("{}", own);
      return out_.check();
    }
    std::vector<Value> keys;
    for (const auto& entry : dict.entries) keys.push_back(entry.key);
    if (form_.sort_keys) {
      std::vector<Value> in_order = TRY(sorted(in_, keys, keys, false));
      keys = std::move(in_order);
    }
    out_.append("{", own);
    ++level_;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (i) separator(form_.item_separator, own);
      new_line(own);
      TRY(print_key(keys[i], own));
      separator(form_.key_separator, own);
      TRY(print(form_.sort_keys ? *dict.find(keys[i]) : dict.entries[i].value, own));
    }
    --level_;
    new_line(own);
    out_.append("}", own);
    return out_.check();
  }

  Interpreter& in_;
  TextBuilder& out_;
  const JsonForm& form_;
  int level_ = 0;
};

Value text_of_input(std::string_view text) {
  return Value::text(Marked(is_utf8(text) ? std::string(text) : repair_utf8(text), false));
}

}  // namespace

Status print_json(Interpreter& in, TextBuilder& out, const Value& value, const JsonForm& form) {
  return JsonPrinter(in, out, form).print(value, true);
}

Result<Value> value_of(Interpreter& in, const Json& json) {
  const Interpreter::Nest nest(in);
  TRY(nest.check());
  if (json.is_null()) return Value::none(true);
  if (json.is_bool()) return Value::boolean(json.as_bool(), true);
  if (json.is_integer()) return Value::integer(json.as_integer(), true);
  if (json.is_number()) return Value::real(json.as_number(), true);
  if (json.is_string()) return text_of_input(json.as_string());
  if (json.is_array()) {
    std::vector<Value> items;
    items.reserve(json.size());
    for (const Json& item : json.as_array()) items.push_back(TRY(value_of(in, item)));
    const Value made = TRY(in.list(std::move(items)));
    made.as_sequence().from_input = true;
    return made;
  }
  const auto dict = make<Dict>();
  dict->from_input = true;
  for (const auto& [key, item] : json.as_object())
    dict->set(text_of_input(key), TRY(value_of(in, item)));
  return in.dict(dict);
}

}  // namespace hearth::jinja
