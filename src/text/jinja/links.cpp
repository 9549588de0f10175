#include "text/jinja/links.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/utf8.h"
#include "text/jinja/operators.h"
#include "text/jinja/text_ops.h"
#include "text/jinja/unicode.h"

namespace hearth::jinja {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' ||
         static_cast<unsigned char>(c) >= 128;
}

bool all_of_set(std::string_view text, std::string_view extra) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_word(c) || extra.find(c) != std::string_view::npos; });
}

// "example.com", "localhost", "10.0.0.1", "[::1]", with a port.
bool is_host(std::string_view host, bool has_scheme) {
  if (host.starts_with('[')) return has_scheme && host.ends_with(']') && host.size() > 2;
  if (const auto colon = host.find(':'); colon != std::string_view::npos) {
    const auto port = host.substr(colon + 1);
    if (port.empty() || port.size() > 5 ||
        !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }))
      return false;
    host = host.substr(0, colon);
  }
  if (host.empty() || host.starts_with('.') || host.ends_with('.') || !all_of_set(host, ".-%@:"))
    return false;
  return has_scheme || host.find('.') != std::string_view::npos;
}

bool is_web_address(std::string_view text) {
  bool has_scheme = false;
  for (const std::string_view scheme : {"https://", "http://"})
    if (text.starts_with(scheme)) {
      text.remove_prefix(scheme.size());
      has_scheme = true;
    }
  const auto end = std::min(text.find_first_of("/?#"), text.size());
  const auto host = text.substr(0, end);
  if (has_scheme) return is_host(host, true);
  if (host.starts_with("www.")) return host.size() > 4 && is_host(host, false);
  // Without a scheme only the oldest domains are known for what they are.
  if (!is_host(host, false) || host.find('@') != std::string_view::npos) return false;
  const auto name = host.substr(0, std::min(host.find(':'), host.size()));
  for (const std::string_view domain :
       {".com", ".net", ".int", ".edu", ".gov", ".org", ".info", ".mil"})
    if (name.size() > domain.size() && name.ends_with(domain)) return true;
  return false;
}

bool is_mail_address(std::string_view text) {
  const auto at = text.rfind('@');
  if (at == std::string_view::npos || at == 0) return false;
  const auto host = text.substr(at + 1);
  const auto dot = host.rfind('.');
  return dot != std::string_view::npos && dot > 0 && dot + 1 < host.size() && is_word(host[0]) &&
         all_of_set(host.substr(0, dot), ".-") && all_of_set(host.substr(dot + 1), "");
}

struct LinkStyle {
  std::string attributes;          // rel and target
  std::int64_t shown_points = -1;  // of the address; negative: all
  std::vector<std::string> schemes;
};

std::size_t count_of(std::string_view text, std::string_view wanted) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = find_first(text, wanted, at)) != nowhere; at += wanted.size())
    ++count;
  return count;
}

// Brackets and full stops around an address are not part of it, unless they balance inside.
struct Parts {
  std::string_view head, middle, tail;
};

Parts parts_of(std::string_view word) {
  std::size_t start = 0;
  while (start < word.size()) {
    const auto rest = word.substr(start);
    if (rest[0] == '(' || rest[0] == '<')
      ++start;
    else if (rest.starts_with("&lt;"))
      start += 4;
    else
      break;
  }
  std::size_t end = word.size();
  while (end > start) {
    const auto rest = word.substr(start, end - start);
    if (std::string_view(")>.,\n").find(rest.back()) != std::string_view::npos)
      --end;
    else if (rest.ends_with("&gt;"))
      end -= 4;
    else
      break;
  }
  static constexpr std::pair<std::string_view, std::string_view> brackets[] = {
      {"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}};
  for (const auto& [open, close] : brackets) {
    const auto middle = word.substr(start, end - start);
    const std::size_t opened = count_of(middle, open);
    if (opened <= count_of(middle, close)) continue;
    std::size_t moves = std::min(opened, count_of(word.substr(end), close));
    for (; moves > 0; --moves) end = find_first(word, close, end) + close.size();
  }
  return {word.substr(0, start), word.substr(start, end - start), word.substr(end)};
}

std::string shown(std::string_view address, const LinkStyle& style) {
  const auto points = static_cast<std::int64_t>(count_points(address));
  if (style.shown_points < 0 || points <= style.shown_points) return std::string(address);
  std::size_t end = 0;
  for (std::int64_t i = 0; i < style.shown_points; ++i) end += point_size(address, end);
  return std::string(address.substr(0, end)) + "...";
}

std::string linked(std::string_view middle, const LinkStyle& style) {
  const auto link = [](std::string_view href, std::string_view attributes, std::string_view text) {
    return fmt::format("<a href=\"{}\"{}>{}</a>", href, attributes, text);
  };
  const std::string address(middle);
  if (is_web_address(middle)) {
    const bool whole = middle.starts_with("https://") || middle.starts_with("http://");
    return link(whole ? address : "https://" + address, style.attributes, shown(middle, style));
  }
  if (middle.starts_with("mailto:") && is_mail_address(middle.substr(7)))
    return link(address, "", middle.substr(7));
  if (middle.find('@') != std::string_view::npos && !middle.starts_with("www.") &&
      !middle.starts_with('@') && middle.find(':') == std::string_view::npos &&
      is_mail_address(middle))
    return link("mailto:" + address, "", middle);
  for (const std::string& scheme : style.schemes)
    if (middle != scheme && middle.starts_with(scheme))
      return link(address, style.attributes, middle);
  return address;
}

Result<LinkStyle> style_of(Interpreter& in, const Bound& arguments) {
  LinkStyle style;
  style.shown_points = TRY(integer_or(in, arguments, 0, -1));
  std::set<std::string> rel{"noopener"};
  if (truth_or(arguments, 1, false)) rel.insert("nofollow");
  if (arguments.given(3)) {
    const auto words = TRY(text_argument(in, arguments[3]));
    for (const Piece& word : split_spaces(words->text.view(), -1, false))
      rel.insert(std::string(words->text.view().substr(word.first, word.second - word.first)));
  }
  std::string joined;
  for (const std::string& word : rel) joined += (joined.empty() ? "" : " ") + word;
  style.attributes = fmt::format(" rel=\"{}\"", joined);
  if (arguments.given(2)) {
    const auto name = TRY(text_argument(in, arguments[2]));
    const Value target = TRY(escaped(in, *name));
    style.attributes += fmt::format(" target=\"{}\"", target.view());
  }
  if (arguments.given(4)) {
    const auto schemes = TRY(drain(in, arguments[4]));
    for (const Value& scheme : schemes)
      style.schemes.emplace_back(TRY(text_argument(in, scheme))->text.view());
  }
  return style;
}

constexpr std::pair<std::string_view, std::uint32_t> entities[] = {
    {"amp", '&'},      {"lt", '<'},       {"gt", '>'},       {"quot", '"'},      {"apos", '\''},
    {"nbsp", 0xA0},    {"copy", 0xA9},    {"reg", 0xAE},     {"laquo", 0xAB},    {"raquo", 0xBB},
    {"middot", 0xB7},  {"para", 0xB6},    {"sect", 0xA7},    {"deg", 0xB0},      {"plusmn", 0xB1},
    {"times", 0xD7},   {"divide", 0xF7},  {"euro", 0x20AC},  {"pound", 0xA3},    {"yen", 0xA5},
    {"cent", 0xA2},    {"ndash", 0x2013}, {"mdash", 0x2014}, {"lsquo", 0x2018},  {"rsquo", 0x2019},
    {"ldquo", 0x201C}, {"rdquo", 0x201D}, {"bull", 0x2022},  {"hellip", 0x2026}, {"trade", 0x2122},
    {"larr", 0x2190},  {"uarr", 0x2191},  {"rarr", 0x2192},  {"darr", 0x2193},   {"auml", 0xE4},
    {"ouml", 0xF6},    {"uuml", 0xFC},    {"szlig", 0xDF},   {"eacute", 0xE9},   {"egrave", 0xE8}};

// The character an entity stands for, without "&" and ";"; 0 if it is none.
std::uint32_t entity(std::string_view name) {
  if (name.starts_with('#') && name.size() > 1 && name.size() < 10) {
    const bool hex = (name[1] | 32) == 'x';
    std::uint32_t point = 0;
    for (const char c : name.substr(hex ? 2 : 1)) {
      const char letter = static_cast<char>(c | 32);
      if (c >= '0' && c <= '9')
        point = point * (hex ? 16 : 10) + static_cast<std::uint32_t>(c - '0');
      else if (hex && letter >= 'a' && letter <= 'f')
        point = point * 16 + static_cast<std::uint32_t>(letter - 'a' + 10);
      else
        return 0;
    }
    return point == 0 || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000) ? 0xFFFD : point;
  }
  for (const auto& [known, point] : entities)
    if (known == name) return point;
  return 0;
}

}  // namespace

Result<Value> urlize(Interpreter& in, const Value& subject, Bound& arguments) {
  const auto text = TRY(text_argument(in, subject));
  const LinkStyle style = TRY(style_of(in, arguments));
  const Value safe = TRY(escaped(in, *text));
  const std::string_view view = safe.view();
  // A link repeats parts of the text: the whole result counts as its least trusted part.
  const bool trusted = safe.as_str().text.all_trusted();
  TextBuilder out(in);
  std::size_t at = 0;
  for (const Piece& word : split_spaces(view, -1, false)) {
    out.append(view.substr(at, word.first - at), trusted);
    const Parts parts = parts_of(view.substr(word.first, word.second - word.first));
    out.append(parts.head, trusted);
    out.append(linked(parts.middle, style), trusted);
    out.append(parts.tail, trusted);
    at = word.second;
  }
  out.append(view.substr(at), trusted);
  return out.value();
}

void append_unescaped(TextBuilder& out, const Marked& text) {
  const std::string_view view = text.view();
  for (std::size_t at = 0; at < view.size();) {
    const std::size_t start = std::min(view.find('&', at), view.size());
    out.append(text, at, start);
    if (start == view.size()) return;
    const auto near = view.substr(start + 1, 16);
    const std::size_t end = near.find(';');
    const std::uint32_t point = end == std::string_view::npos ? 0 : entity(near.substr(0, end));
    if (point == 0) {
      out.append(text, start, start + 1);
      at = start + 1;
      continue;
    }
    std::string character;
    append_utf8(character, point);
    out.append(character, text.trusted_at(start));
    at = start + 1 + end + 1;
  }
}

}  // namespace hearth::jinja
