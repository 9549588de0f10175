#include "base/json.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "base/utf8.h"

namespace hearth {

namespace {

namespace bj = boost::json;

// Receives the parser's events and grows the value.  Stops with a reason of our own.
struct Handler {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  struct Level {
    Json value;
    std::string key;                       // of the member being read
    std::unordered_set<std::string> seen;  // keys, once there are many
  };

  JsonLimits limits;
  std::vector<Level> levels;
  Json root;
  std::string text;
  std::size_t members = 0;
  std::string reason;

  bool refuse(std::string why, bj::error_code& ec) {
    reason = std::move(why);
    ec = bj::make_error_code(bj::error::too_deep);
    return false;
  }

  bool add(Json value, bj::error_code& ec) {
    if (++members > limits.max_members)
      return refuse(fmt::format("more than {} values", limits.max_members), ec);
    if (levels.empty()) {
      root = std::move(value);
      return true;
    }
    Level& level = levels.back();
    if (level.value.is_array())
      level.value.push_back(std::move(value));
    else
      level.value.as_object().emplace_back(std::move(level.key), std::move(value));
    return true;
  }

  bool open(Json value, bj::error_code& ec) {
    if (static_cast<int>(levels.size()) >= limits.max_depth)
      return refuse(fmt::format("nested deeper than {}", limits.max_depth), ec);
    levels.push_back({std::move(value), {}, {}});
    return true;
  }
  bool close(bj::error_code& ec) {
    Json value = std::move(levels.back().value);
    levels.pop_back();
    return add(std::move(value), ec);
  }

  bool on_document_begin(bj::error_code&) { return true; }
  bool on_document_end(bj::error_code&) { return true; }
  bool on_array_begin(bj::error_code& ec) { return open(Json::array(), ec); }
  bool on_array_end(std::size_t, bj::error_code& ec) { return close(ec); }
  bool on_object_begin(bj::error_code& ec) { return open(Json::object(), ec); }
  bool on_object_end(std::size_t, bj::error_code& ec) { return close(ec); }
  bool on_key_part(bj::string_view part, std::size_t, bj::error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_key(bj::string_view part, std::size_t, bj::error_code& ec) {
    text.append(part.data(), part.size());
    Level& level = levels.back();
    constexpr std::size_t few = 16;  // below this, comparing beats hashing
    if (level.value.size() < few) {
      if (level.value.find(text)) return refuse(fmt::format("key '{}' twice", printable(text)), ec);
    } else {
      if (level.seen.empty())
        for (const auto& member : level.value.as_object()) level.seen.insert(member.first);
      if (!level.seen.insert(text).second)
        return refuse(fmt::format("key '{}' twice", printable(text)), ec);
    }
    level.key = std::move(text);
    text.clear();
    return true;
  }
  bool on_string_part(bj::string_view part, std::size_t, bj::error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_string(bj::string_view part, std::size_t, bj::error_code& ec) {
    text.append(part.data(), part.size());
    Json value(std::move(text));
    text.clear();
    return add(std::move(value), ec);
  }
  bool on_number_part(bj::string_view, bj::error_code&) { return true; }
  bool on_int64(std::int64_t value, bj::string_view, bj::error_code& ec) {
    return add(Json(static_cast<long>(value)), ec);
  }
  bool on_uint64(std::uint64_t value, bj::string_view, bj::error_code& ec) {
    return add(Json(static_cast<unsigned long>(value)), ec);
  }
  bool on_double(double value, bj::string_view part, bj::error_code& ec) {
    // The library's own value may be off by one in the last place.
    double nearest = 0;
    const auto read = std::from_chars(part.data(), part.data() + part.size(), nearest);
    if (read.ec == std::errc() && read.ptr == part.data() + part.size()) value = nearest;
    if (!std::isfinite(value)) return refuse("number out of range", ec);
    return add(Json(value), ec);
  }
  bool on_bool(bool value, bj::error_code& ec) { return add(Json(value), ec); }
  bool on_null(bj::error_code& ec) { return add(Json(), ec); }
  bool on_comment_part(bj::string_view, bj::error_code&) { return true; }
  bool on_comment(bj::string_view, bj::error_code&) { return true; }
};

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    return Error(ErrorKind::invalid,
                 fmt::format("JSON of {} bytes, at most {}", text.size(), limits.max_bytes));
  bj::parse_options options;
  options.max_depth = static_cast<std::size_t>(limits.max_depth) + 2;  // ours speaks first
  bj::basic_parser<Handler> parser(options);
  parser.handler().limits = limits;
  bj::error_code ec;
  std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (!ec)  // the parser stops after the value; only white space may follow
    while (used < text.size() && std::string_view(" \t\r\n").find(text[used]) != text.npos) ++used;
  Handler& handler = parser.handler();
  if (ec || used < text.size() || !parser.done()) {
    std::string why = !handler.reason.empty() ? handler.reason
                      : ec                    ? ec.message()
                      : used < text.size()    ? "something follows the value"
                                              : "incomplete";
    return Error(ErrorKind::invalid, fmt::format("JSON, byte {}: {}", used, why));
  }
  return std::move(handler.root);
}

void append_json_string(std::string& out, std::string_view text, bool ascii_only) {
  static constexpr char hex[] = "0123456789abcdef";
  const auto escape = [&](std::uint32_t unit) {
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += hex[(unit >> shift) & 15];
  };
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      switch (c) {
        case '"':
          out += "\\\"";
          break;
        case '\\':
          out += "\\\\";
          break;
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        case '\b':
          out += "\\b";
          break;
        case '\f':
          out += "\\f";
          break;
        default:
          if (c < 0x20)
            escape(c);
          else
            out += static_cast<char>(c);
      }
      ++i;
      continue;
    }
    const Decoded d = decode_utf8(text.substr(i));
    const std::uint32_t point = d.valid ? d.point : 0xFFFD;
    if (!ascii_only) {
      append_utf8(out, point);
    } else if (point < 0x10000) {
      escape(point);
    } else {
      escape(0xD800 + ((point - 0x10000) >> 10));
      escape(0xDC00 + ((point - 0x10000) & 0x3FF));
    }
    i += d.size;
  }
  out += '"';
}

namespace {

template <typename T>
void append_number(std::string& out, T value) {
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

template <typename T>
void append_float(std::string& out, T value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  const std::size_t start = out.size();
  append_number(out, value);
  if (out.find_first_of(".e", start) == out.npos) out += ".0";  // stays a float when read again
}

struct Writer {
  std::string& out;
  const JsonStyle& style;

  void newline(int depth) {
    if (style.indent < 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(depth * style.indent), ' ');
  }

  void write(const Json& value, int depth) {
    if (value.is_null()) {
      out += "null";
    } else if (value.is_bool()) {
      out += value.as_bool() ? "true" : "false";
    } else if (value.is_integer()) {
      append_number(out, value.as_integer());
    } else if (value.is_number()) {
      const double wide = value.as_number();
      value.type_is_float() ? append_float(out, static_cast<float>(wide)) : append_float(out, wide);
    } else if (value.is_string()) {
      append_json_string(out, value.as_string(), style.ascii_only);
    } else if (value.is_array()) {
      write_all('[', ']', value.as_array(), depth,
                [&](const Json& item) { write(item, depth + 1); });
    } else {
      write_all('{', '}', value.as_object(), depth, [&](const Json::Member& member) {
        append_json_string(out, member.first, style.ascii_only);
        out += style.key_separator;
        write(member.second, depth + 1);
      });
    }
  }

  template <typename Items, typename WriteItem>
  void write_all(char open, char close, const Items& items, int depth, WriteItem&& write_item) {
    out += open;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out += style.item_separator;
      first = false;
      newline(depth + 1);
      write_item(item);
    }
    if (!items.empty()) newline(depth);
    out += close;
  }
};

Error wrong_type(std::string_view key, const Json& held, std::string_view needed) {
  return Error(ErrorKind::invalid,
               fmt::format("'{}': holds {}, needs {}", key, held.type_name(), needed));
}

template <typename T>
Result<T> convert(const Json& value, std::string_view key);

template <>
Result<bool> convert<bool>(const Json& value, std::string_view key) {
  if (!value.is_bool()) return wrong_type(key, value, "true or false");
  return value.as_bool();
}
template <>
Result<std::int64_t> convert<std::int64_t>(const Json& value, std::string_view key) {
  if (!value.is_integer()) return wrong_type(key, value, "a whole number");
  return value.as_integer();
}
template <>
Result<double> convert<double>(const Json& value, std::string_view key) {
  if (!value.is_number()) return wrong_type(key, value, "a number");
  return value.as_number();
}
template <>
Result<std::string> convert<std::string>(const Json& value, std::string_view key) {
  if (!value.is_string()) return wrong_type(key, value, "a string");
  return value.as_string();
}

}  // namespace

std::string write_json(const Json& value, const JsonStyle& style) {
  std::string out;
  Writer{out, style}.write(value, 0);
  return out;
}

template <typename T>
Result<T> required(const Json& object, std::string_view key) {
  const Json* found = object.find(key);
  if (!found) return Error(ErrorKind::invalid, fmt::format("'{}': missing", key));
  return convert<T>(*found, key);
}

template <typename T>
Result<T> optional(const Json& object, std::string_view key, T fallback) {
  const Json* found = object.find(key);
  if (!found || found->is_null()) return fallback;
  return convert<T>(*found, key);
}

template Result<bool> required(const Json&, std::string_view);
template Result<std::int64_t> required(const Json&, std::string_view);
template Result<double> required(const Json&, std::string_view);
template Result<std::string> required(const Json&, std::string_view);
template Result<bool> optional(const Json&, std::string_view, bool);
template Result<std::int64_t> optional(const Json&, std::string_view, std::int64_t);
template Result<double> optional(const Json&, std::string_view, double);
template Result<std::string> optional(const Json&, std::string_view, std::string);

}  // namespace hearth
