// str.format.  Source: Python 3.11, "Format String Syntax".
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/callables.h"
#include "text/jinja/format_spec.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"

namespace hearth::jinja {
namespace {

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& in, const Arguments& arguments, bool markup)
      : in_(in), arguments_(arguments), markup_(markup) {}

  Status run(TextBuilder& out, const Marked& format, int depth) {
    if (depth > 2) return in_.error("Max string recursion exceeded");
    const std::string_view view = format.view();
    for (std::size_t at = 0; at < view.size();) {
      const std::size_t brace = std::min(view.find_first_of("{}", at), view.size());
      out.append(format, at, brace);
      if (brace == view.size()) break;
      if (brace + 1 < view.size() && view[brace + 1] == view[brace]) {
        out.append(format, brace, brace + 1);
        at = brace + 2;
        continue;
      }
      if (view[brace] == '}') return in_.error("Single '}' encountered in format string");
      at = TRY(field(out, format, brace + 1, depth));
    }
    return out.check();
  }

 private:
  // One replacement field, which begins after its "{"; gives where it ends.
  Result<std::size_t> field(TextBuilder& out, const Marked& format, std::size_t start, int depth) {
    const std::string_view view = format.view();
    std::size_t end = start;
    int open = 1;
    bool in_brackets = false;
    std::size_t name_end = std::string_view::npos;
    for (; end < view.size(); ++end) {
      const char c = view[end];
      if (name_end == std::string_view::npos) {
        if (c == '[') in_brackets = true;
        if (c == ']') in_brackets = false;
        if (!in_brackets && (c == '!' || c == ':' || c == '}')) name_end = end;
      }
      if (in_brackets) continue;
      if (c == '{') ++open;
      if (c == '}' && --open == 0) break;
    }
    if (end >= view.size()) return in_.error("expected '}' before end of string");
    name_end = std::min(name_end, end);
    Value value = TRY(lookup(view.substr(start, name_end - start)));
    std::size_t spec_start = name_end;
    if (view[spec_start] == '!') {
      if (spec_start + 1 >= end) return in_.error("end of string while looking for conversion");
      value = TRY(converted(value, view[spec_start + 1]));
      spec_start += 2;
      if (spec_start < end && view[spec_start] != ':')
        return in_.error("expected ':' after conversion specifier");
    }
    if (spec_start < end) ++spec_start;
    TextBuilder spec(in_);
    TRY(run(spec, format.sub(std::min(spec_start, end), end), depth + 1));
    TRY(print_one(out, value, spec.text().view()));
    return end + 1;
  }

  Result<Value> converted(const Value& value, char how) {
    if (how == 's') return to_string(in_, value);
    if (how != 'r' && how != 'a') return in_.error("Unknown conversion specifier");
    TextBuilder text(in_);
    TRY(print_quoted(in_, text, value, how == 'a'));
    return text.value();
  }

  Result<Value> positional(std::size_t index) {
    if (index >= arguments_.positional.size())
      return in_.error(
          fmt::format("Replacement index {} out of range for positional args tuple", index));
    return arguments_.positional[index];
  }

  Result<Value> lookup(std::string_view name) {
    const std::size_t first_end = std::min(name.find_first_of(".["), name.size());
    const auto first = name.substr(0, first_end);
    Value value;
    if (first.empty()) {
      if (numbered_)
        return in_.error(
            "cannot switch from manual field specification to automatic field numbering");
      value = TRY(positional(next_++));
      automatic_ = true;
    } else if (std::all_of(first.begin(), first.end(), is_digit_char)) {
      if (automatic_)
        return in_.error(
            "cannot switch from automatic field numbering to manual field specification");
      numbered_ = true;
      value = TRY(positional(first.size() > 6 ? 999999 : std::stoul(std::string(first))));
    } else {
      const auto found = std::find_if(arguments_.named.begin(), arguments_.named.end(),
                                      [&](const auto& row) { return row.first == first; });
      if (found == arguments_.named.end())
        return in_.error(fmt::format("KeyError: {}", quoted(first.substr(0, 100))));
      value = found->second;
    }
    return follow(std::move(value), name.substr(first_end));
  }

  // ".name" and "[key]", any number of them.
  Result<Value> follow(Value value, std::string_view rest) {
    while (!rest.empty()) {
      TRY(in_.spend(1));
      if (rest[0] == '.') {
        const std::size_t end = std::min(rest.find_first_of(".[", 1), rest.size());
        if (end == 1) return in_.error("Empty attribute in format string");
        value = TRY(attribute(in_, value, rest.substr(1, end - 1)));
        rest.remove_prefix(end);
        continue;
      }
      const std::size_t end = rest.find(']');
      if (rest[0] != '[' || end == std::string_view::npos)
        return in_.error("Missing ']' in format string");
      const auto key = rest.substr(1, end - 1);
      if (key.empty()) return in_.error("Empty attribute in format string");
      const bool is_index = key.size() < 10 && std::all_of(key.begin(), key.end(), is_digit_char);
      const Value index = is_index ? Value::integer(std::stol(std::string(key))) : Value::text(key);
      value = TRY(item(in_, value, index));
      rest.remove_prefix(end + 1);
    }
    return value;
  }

  Result<std::int64_t> number(std::string_view& text, std::int64_t limit) {
    std::int64_t value = 0;
    for (; !text.empty() && is_digit_char(text[0]); text.remove_prefix(1)) {
      value = value * 10 + (text[0] - '0');
      if (value > limit) return in_.error("a width or precision too large in a format");
    }
    return value;
  }

  Result<FormatSpec> parse(std::string_view text) {
    FormatSpec spec;
    const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
    const std::size_t fill = text.empty() ? 0 : point_size(text, 0);
    if (text.size() > fill && fill > 0 && is_align(text[fill])) {
      spec.fill = std::string(text.substr(0, fill));
      spec.align = text[fill];
      text.remove_prefix(fill + 1);
    } else if (!text.empty() && is_align(text[0])) {
      spec.align = text[0];
      text.remove_prefix(1);
    }
    const auto skip = [&](char c) {
      if (text.empty() || text[0] != c) return false;
      text.remove_prefix(1);
      return true;
    };
    for (const char c : {'+', '-', ' '})
      if (skip(c)) {
        spec.sign = c;
        break;
      }
    skip('z');
    spec.alternate = skip('#');
    if (skip('0') && !spec.align) {
      spec.fill = "0";
      spec.align = '=';
      zero_padded_ = true;
    }
    spec.width = TRY(number(text, static_cast<std::int64_t>(in_.limits().text_bytes)));
    if (skip(',')) spec.grouping = ',';
    if (skip('_')) spec.grouping = '_';
    if (skip('.')) {
      if (text.empty() || !is_digit_char(text[0]))
        return in_.error("Format specifier missing precision");
      spec.precision = static_cast<int>(TRY(number(text, max_precision)));
    }
    if (text.size() > 1) return in_.error("Invalid format specifier");
    if (!text.empty()) spec.type = text[0];
    return spec;
  }

  Status unknown_type(const Value& value, char type) {
    return in_.error(
        fmt::format("Unknown format code '{}' for object of type '{}'", type, type_name(value)));
  }

  Status print_one(TextBuilder& out, const Value& value, std::string_view spec_text) {
    if (spec_text.empty()) {
      if (markup_ && value.is_string()) {
        append_escaped(out, value.as_str());
        return out.check();
      }
      return print(in_, out, value);
    }
    zero_padded_ = false;
    FormatSpec spec = TRY(parse(spec_text));
    static constexpr std::string_view real_types = "eEfFgGn%";
    const bool real_type = spec.type && real_types.find(spec.type) != std::string_view::npos;
    if (value.is_string()) {
      if (spec.type && spec.type != 's') return unknown_type(value, spec.type);
      if (spec.align == '=' && !zero_padded_)
        return in_.error("'=' alignment not allowed in string format specifier");
      if (spec.align == '=') spec.align = '<';
      return append_text(in_, out, value.as_str(), spec, '<');
    }
    if (value.kind() == Kind::real || (value.is_integral() && real_type && spec.type != 'n')) {
      if (spec.type && !real_type) return unknown_type(value, spec.type);
      return append_number(in_, out, real_digits(value.as_real(), spec), spec, !value.from_input());
    }
    if (value.is_integral()) return print_integer(out, value, spec);
    return in_.error(
        fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
  }

  Status print_integer(TextBuilder& out, const Value& value, FormatSpec spec) {
    if (spec.precision >= 0) return in_.error("Precision not allowed in integer format specifier");
    if (spec.type == 'c') {
      const Value made = TRY(character_of(in_, value));
      return append_text(in_, out, made.as_str(), spec, '<');
    }
    if (spec.type && std::string_view("dboxXn").find(spec.type) == std::string_view::npos)
      return unknown_type(value, spec.type);
    NumberText number = integer_digits(value.as_integer(), spec);
    // Zeros that fill are grouped like digits.
    if (spec.grouping && spec.align == '=' && spec.fill == "0" && zero_padded_) {
      const std::int64_t limit = std::min<std::int64_t>(spec.width, 64);
      FormatSpec plain = spec;
      plain.grouping = '\0';
      std::string digits = integer_digits(value.as_integer(), plain).digits;
      for (; static_cast<std::int64_t>(number.sign.size() + number.digits.size()) < limit;) {
        digits.insert(0, 1, '0');
        number.digits = group(digits, spec.grouping, spec.type);
      }
    }
    return append_number(in_, out, number, spec, !value.from_input());
  }

  static std::string group(const std::string& digits, char separator, char type) {
    const std::size_t size = type && type != 'd' && type != 'n' ? 4 : 3;
    std::string out;
    for (std::size_t i = 0; i < digits.size(); ++i) {
      if (i && (digits.size() - i) % size == 0) out += separator;
      out += digits[i];
    }
    return out;
  }

  Interpreter& in_;
  const Arguments& arguments_;
  const bool markup_;
  std::size_t next_ = 0;
  bool automatic_ = false, numbered_ = false, zero_padded_ = false;
};

}  // namespace

Result<Value> format_braces(Interpreter& in, const Str& format, const Arguments& arguments) {
  TextBuilder out(in);
  BraceFormatter formatter(in, arguments, format.markup);
  TRY(formatter.run(out, format.text, 0));
  return out.value(format.markup);
}

}  // namespace hearth::jinja
