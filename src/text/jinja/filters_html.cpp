// Filters for HTML and URLs, which chat templates inherit from Jinja.  Source: Jinja2 3.1, "List of
// Builtin Filters"; MarkupSafe 3, "Markup".
#include <fmt/core.h>

#include <algorithm>

#include "base/utf8.h"
#include "text/jinja/callables.h"
#include "text/jinja/links.h"
#include "text/jinja/operators.h"
#include "text/jinja/printing.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace hearth::jinja {
namespace {

std::string_view escape_of(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&#34;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

void append_escapes(TextBuilder& out, const Marked& text) {
  text.for_runs(0, text.size(), [&](std::string_view run, bool trusted) {
    std::string piece;
    for (const char c : run) {
      const auto escape = escape_of(c);
      if (escape.empty())
        piece += c;
      else
        piece += escape;
    }
    out.append(piece, trusted);
  });
}

Result<Value> escape(Interpreter& in, const Value& subject, Bound&) {
  const auto text = TRY(soft_text(in, subject));
  return escaped(in, *text);
}

Result<Value> forceescape(Interpreter& in, const Value& subject, Bound&) {
  const auto text = TRY(soft_text(in, subject));
  TextBuilder out(in);
  append_escapes(out, text->text);
  return out.value(true);
}

Result<Value> safe(Interpreter& in, const Value& subject, Bound&) {
  const auto text = TRY(soft_text(in, subject));
  return in.string(text->text, true);
}

// Tags and comments go, white space becomes single spaces, entities characters.
Result<Value> striptags(Interpreter& in, const Value& subject, Bound&) {
  const auto text = TRY(soft_text(in, subject));
  const std::string_view view = text->text.view();
  Marked bare;
  std::size_t at = 0;
  for (;;) {
    const std::size_t open = find_first(view, "<", at);
    if (open == nowhere) break;
    const bool comment = view.substr(open).starts_with("<!--");
    const std::size_t close =
        comment ? find_first(view, "-->", open + 4) : find_first(view, ">", open);
    if (close == nowhere) break;
    bare.append(text->text, at, open);
    at = close + (comment ? 3 : 1);
  }
  bare.append(text->text, at, view.size());
  TextBuilder out(in);
  bool first = true;
  for (const Piece& word : split_spaces(bare.view(), -1, false)) {
    if (!first) out.append(" ");
    first = false;
    out.append(bare, word.first, word.second);
  }
  const Marked joined = TRY(out.finish());
  TextBuilder plain(in);
  append_unescaped(plain, joined);
  return plain.value();
}

void append_url_quoted(std::string& out, std::string_view text, bool in_query) {
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) ||
                       std::string_view("_.-~").find(c) != std::string_view::npos ||
                       (c == '/' && !in_query);
    if (plain && static_cast<unsigned char>(c) < 128)
      out += c;
    else if (c == ' ' && in_query)
      out += '+';
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
}

Status append_url_part(Interpreter& in, TextBuilder& out, const Value& value, bool in_query) {
  const auto text = TRY(soft_text(in, value));
  text->text.for_runs(0, text->text.size(), [&](std::string_view run, bool trusted) {
    std::string piece;
    append_url_quoted(piece, run, in_query);
    out.append(piece, trusted);
  });
  return out.check();
}

Result<Value> urlencode(Interpreter& in, const Value& subject, Bound&) {
  TextBuilder out(in);
  if (subject.is_string() || !is_iterable(subject)) {
    TRY(append_url_part(in, out, subject, false));
    return out.value();
  }
  const Value source = subject.kind() == Kind::dict ? make_view(subject, ViewOf::items) : subject;
  const auto pairs = TRY(drain(in, source));
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto pair = TRY(drain(in, pairs[i]));
    if (pair.size() != 2) return in.error("urlencode needs pairs of a key and a value");
    if (i) out.append("&");
    TRY(append_url_part(in, out, pair[0], true));
    out.append("=");
    TRY(append_url_part(in, out, pair[1], true));
  }
  return out.value();
}

Result<Value> xmlattr(Interpreter& in, const Value& subject, Bound& arguments) {
  if (subject.is_undefined()) return undefined_error(in, subject);
  if (subject.kind() != Kind::dict)
    return in.error(fmt::format("xmlattr needs a mapping, got {}", type_name(subject)));
  TextBuilder out(in);
  bool any = false;
  for (const auto& entry : subject.as_dict().entries) {
    if (entry.value.is_none() || entry.value.is_undefined()) continue;
    const auto key = TRY(text_argument(in, entry.key));
    if (key->text.view().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos)
      return in.error(fmt::format("Invalid character in attribute name: {}",
                                  quoted(key->text.view().substr(0, 100))));
    if (any || truth_or(arguments, 0, true)) out.append(" ");
    any = true;
    append_escaped(out, *key);
    out.append("=\"");
    append_escaped(out, *TRY(soft_text(in, entry.value)));
    out.append("\"");
  }
  return out.value();
}

constexpr Signature table[] = {
    {"safe", "", safe},
    {"escape", "", escape},
    {"e", "", escape},
    {"forceescape", "", forceescape},
    {"striptags", "", striptags},
    {"urlencode", "", urlencode},
    {"urlize", "? trim_url_limit nofollow target rel extra_schemes", urlize},
    {"xmlattr", "? autospace", xmlattr},
};

}  // namespace

void append_escaped(TextBuilder& out, const Str& text) {
  if (text.markup)
    out.append(text);
  else
    append_escapes(out, text.text);
}

Result<Value> escaped(Interpreter& in, const Str& text) {
  TextBuilder out(in);
  append_escaped(out, text);
  return out.value(true);
}

std::span<const Signature> html_filters() { return table; }

}  // namespace hearth::jinja
