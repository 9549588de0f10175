#include "text/jinja/printing.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace hearth::jinja {
namespace {

void append_escape(std::string& out, std::uint32_t point) {
  if (point < 0x100)
    out += fmt::format("\\x{:02x}", point);
  else if (point < 0x10000)
    out += fmt::format("\\u{:04x}", point);
  else
    out += fmt::format("\\U{:08x}", point);
}

char quote_for(std::string_view text) {
  return text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos
             ? '"'
             : '\'';
}

void append_quoted_run(std::string& out, std::string_view run, char quote, bool ascii_only) {
  for (std::size_t i = 0; i < run.size();) {
    const Decoded next = decode_utf8(run.substr(i));
    if (next.point == static_cast<std::uint32_t>(quote) || next.point == '\\')
      (out += '\\') += run[i];
    else if (next.point == '\n')
      out += "\\n";
    else if (next.point == '\r')
      out += "\\r";
    else if (next.point == '\t')
      out += "\\t";
    else if (!is_printable(next.point) || (ascii_only && next.point >= 128))
      append_escape(out, next.point);
    else
      out.append(run.substr(i, next.size));
    i += next.size;
  }
}

void print_quoted_text(TextBuilder& out, const Str& text, bool ascii_only) {
  const char quote = quote_for(text.text.view());
  // The quotes belong to the text between them: together they are one literal.
  const bool trusted = text.text.all_trusted();
  if (text.markup) out.append("Markup(");
  out.append(std::string_view(&quote, 1), trusted);
  text.text.for_runs(0, text.text.size(), [&](std::string_view run, bool run_trusted) {
    std::string piece;
    append_quoted_run(piece, run, quote, ascii_only);
    out.append(piece, run_trusted);
  });
  out.append(std::string_view(&quote, 1), trusted);
  if (text.markup) out.append(")");
}

Status print_items(Interpreter& in, TextBuilder& out, const std::vector<Value>& items, bool trusted,
                   bool ascii_only) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i) out.append(", ", trusted);
    TRY(print_quoted(in, out, items[i], ascii_only));
  }
  return out.check();
}

Status print_dict(Interpreter& in, TextBuilder& out, const Dict& dict, bool ascii_only) {
  const bool trusted = !dict.from_input;
  out.append("{", trusted);
  for (std::size_t i = 0; i < dict.entries.size(); ++i) {
    if (i) out.append(", ", trusted);
    TRY(print_quoted(in, out, dict.entries[i].key, ascii_only));
    out.append(": ", trusted);
    TRY(print_quoted(in, out, dict.entries[i].value, ascii_only));
  }
  out.append("}", trusted);
  return out.check();
}

}  // namespace

std::string quoted(std::string_view text, bool ascii_only) {
  const char quote = quote_for(text);
  std::string out(1, quote);
  append_quoted_run(out, text, quote, ascii_only);
  return out += quote;
}

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[32];
  // Shortest digits in scientific form: d.ddde+XX.
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  const std::size_t e = text.find('e');
  int exponent = 0;
  const std::size_t sign = text[e + 1] == '+' ? 2 : 1;
  std::from_chars(text.data() + e + sign, end, exponent);
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}e{}{:02d}", text.substr(0, e), exponent < 0 ? '-' : '+',
                       std::abs(exponent));
  }
  const auto fixed =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr;
  std::string out(buffer, fixed);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

Status print(Interpreter& in, TextBuilder& out, const Value& value) {
  if (value.is_string()) {
    out.append(value.as_str());
    return out.check();
  }
  if (value.is_undefined() || value.is_missing()) return Done{};
  return print_quoted(in, out, value);
}

Status print_quoted(Interpreter& in, TextBuilder& out, const Value& value, bool ascii_only) {
  const Interpreter::Nest nest(in);
  TRY(nest.check());
  TRY(in.spend(4));
  const bool trusted = !value.from_input();
  switch (value.kind()) {
    case Kind::missing:
    case Kind::undefined:
      out.append("Undefined");
      break;
    case Kind::none:
      out.append("None", trusted);
      break;
    case Kind::boolean:
      out.append(value.as_boolean() ? "True" : "False", trusted);
      break;
    case Kind::integer:
      out.append(std::to_string(value.as_integer()), trusted);
      break;
    case Kind::real:
      out.append(real_text(value.as_real()), trusted);
      break;
    case Kind::string:
      print_quoted_text(out, value.as_str(), ascii_only);
      break;
    case Kind::list:
    case Kind::tuple: {
      const Sequence& sequence = value.as_sequence();
      const bool list = value.kind() == Kind::list, own = !sequence.from_input;
      out.append(list ? "[" : "(", own);
      TRY(print_items(in, out, sequence.items, own, ascii_only));
      out.append(list ? "]" : sequence.items.size() == 1 ? ",)" : ")", own);
      break;
    }
    case Kind::dict:
      return print_dict(in, out, value.as_dict(), ascii_only);
    case Kind::thing:
      return value.as_thing().print(in, out);
  }
  return out.check();
}

Result<Value> to_string(Interpreter& in, const Value& value) {
  if (value.is_string()) {
    if (!value.as_str().markup) return value;
    return in.string(value.as_str().text);
  }
  TextBuilder out(in);
  TRY(print(in, out, value));
  return out.value();
}

}  // namespace hearth::jinja
