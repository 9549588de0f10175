// text % values.  Source: Python 3.11, "printf-style String Formatting".
#include <fmt/core.h>

#include <cmath>

#include "text/jinja/callables.h"
#include "text/jinja/format_spec.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"

namespace hearth::jinja {
namespace {

class PercentFormatter {
 public:
  PercentFormatter(Interpreter& in, const Str& format, const Value& values)
      : in_(in), format_(format), view_(format.text.view()), values_(values), out_(in) {}

  Result<Value> run() {
    for (;;) {
      const std::size_t percent = std::min(view_.find('%', at_), view_.size());
      out_.append(format_.text, at_, percent);
      if (percent == view_.size()) break;
      at_ = percent + 1;
      TRY(conversion());
    }
    const bool all_used = values_.kind() == Kind::tuple
                              ? used_ == values_.as_sequence().items.size()
                              : used_ == 1 || values_.kind() == Kind::dict ||
                                    values_.kind() == Kind::list || used_name_;
    if (!all_used) return in_.error("not all arguments converted during string formatting");
    return out_.value(format_.markup);
  }

 private:
  Result<char> next() {
    if (at_ >= view_.size()) return in_.error("incomplete format");
    return view_[at_++];
  }

  Result<Value> argument() {
    if (values_.kind() == Kind::tuple) {
      const auto& items = values_.as_sequence().items;
      if (used_ >= items.size()) return in_.error("not enough arguments for format string");
      return items[used_++];
    }
    if (used_ > 0) return in_.error("not enough arguments for format string");
    ++used_;
    return values_;
  }

  // %(name)s: the name up to the parenthesis that matches.
  Result<Value> named_argument() {
    const std::size_t start = at_;
    for (int open = 1; open > 0;) {
      const char c = TRY(next());
      open += c == '(' ? 1 : c == ')' ? -1 : 0;
    }
    if (values_.kind() != Kind::dict) return in_.error("format requires a mapping");
    const auto name = view_.substr(start, at_ - 1 - start);
    const Value* found = values_.as_dict().find(name);
    if (!found)
      return in_.error(
          fmt::format("the format names {}, which is not given", quoted(name.substr(0, 100))));
    used_name_ = true;
    return *found;
  }

  // Digits, or "*" for the next argument.
  Result<std::int64_t> number(std::int64_t limit) {
    if (at_ < view_.size() && view_[at_] == '*') {
      ++at_;
      return integer_argument(in_, TRY(argument()));
    }
    std::int64_t value = 0;
    for (; at_ < view_.size() && view_[at_] >= '0' && view_[at_] <= '9'; ++at_) {
      value = value * 10 + (view_[at_] - '0');
      if (value > limit) return in_.error("a width or precision too large in a format");
    }
    return value;
  }

  Status conversion() {
    Value value;
    if (at_ < view_.size() && view_[at_] == '(') {
      ++at_;
      value = TRY(named_argument());
    }
    FormatSpec spec;
    bool zeros = false;
    char c = TRY(next());
    for (; std::string_view("-+ #0").find(c) != std::string_view::npos; c = TRY(next())) {
      if (c == '-') spec.align = '<';
      if (c == '+' || (c == ' ' && spec.sign != '+')) spec.sign = c;
      if (c == '#') spec.alternate = true;
      if (c == '0') zeros = true;
    }
    --at_;
    spec.width = TRY(number(static_cast<std::int64_t>(in_.limits().text_bytes)));
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = spec.width < -1'000'000'000 ? 1'000'000'000 : -spec.width;
    }
    if (at_ < view_.size() && view_[at_] == '.') {
      ++at_;
      const std::int64_t precision = TRY(number(max_precision));
      if (precision > max_precision) return in_.error("a precision too large in a format");
      spec.precision = static_cast<int>(std::max<std::int64_t>(precision, 0));
    }
    c = TRY(next());
    while (c == 'l' || c == 'h' || c == 'L') c = TRY(next());
    if (c == '%') {
      out_.append("%");
      return out_.check();
    }
    if (value.is_missing()) value = TRY(argument());
    spec.type = c;
    if (zeros && !spec.align && c != 's' && c != 'r' && c != 'a' && c != 'c') {
      spec.align = '=';
      spec.fill = "0";
    }
    return print_one(value, spec);
  }

  Status print_one(const Value& value, FormatSpec spec) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a':
        return print_text(value, spec);
      case 'c':
        return print_character(value, spec);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return print_integer(value, spec);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (value.is_undefined()) return undefined_error(in_, value);
        if (!value.is_number())
          return in_.error(fmt::format("must be real number, not {}", type_name(value)));
        return append_number(in_, out_, real_digits(value.as_real(), spec), spec,
                             !value.from_input());
      default:
        return in_.error("unsupported format character");
    }
  }

  Status print_text(const Value& value, const FormatSpec& spec) {
    TextBuilder text(in_);
    if (spec.type != 's')
      TRY(print_quoted(in_, text, value, spec.type == 'a'));
    else if (format_.markup && value.is_string())
      append_escaped(text, value.as_str());
    else
      TRY(print(in_, text, value));
    const Value made = TRY(text.value());
    return append_text(in_, out_, made.as_str(), spec, '>');
  }

  Status print_character(const Value& value, const FormatSpec& spec) {
    if (value.is_string() && value.as_str().points() == 1)
      return append_text(in_, out_, value.as_str(), spec, '>');
    if (!value.is_integral()) return in_.error("%c requires int or char");
    const Value made = TRY(character_of(in_, value));
    return append_text(in_, out_, made.as_str(), spec, '>');
  }

  Status print_integer(const Value& value, FormatSpec spec) {
    if (value.is_undefined()) return undefined_error(in_, value);
    const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (!value.is_integral() && !(decimal && value.kind() == Kind::real))
      return in_.error(fmt::format("%{} format: {} is required, not {}", spec.type,
                                   decimal ? "a real number" : "an integer", type_name(value)));
    const double real = value.as_real();
    if (value.kind() == Kind::real && !(std::abs(real) < 9.2e18))
      return in_.error("cannot convert a float of this size to an integer");
    const std::int64_t whole =
        value.is_integral() ? value.as_integer() : static_cast<std::int64_t>(real);
    if (decimal) spec.type = 'd';
    NumberText number = integer_digits(whole, spec);
    if (spec.precision > static_cast<int>(number.digits.size()))
      number.digits.insert(0, static_cast<std::size_t>(spec.precision) - number.digits.size(), '0');
    return append_number(in_, out_, number, spec, !value.from_input());
  }

  Interpreter& in_;
  const Str& format_;
  const std::string_view view_;
  const Value& values_;
  TextBuilder out_;
  std::size_t at_ = 0, used_ = 0;
  bool used_name_ = false;
};

}  // namespace

Result<Value> format_percent(Interpreter& in, const Str& format, const Value& values) {
  return PercentFormatter(in, format, values).run();
}

}  // namespace hearth::jinja
