// Calls whose every argument stands between marks: texts as they are, all else as JSON.
#include <fmt/core.h>

#include <algorithm>

#include "text/answer/call_parsers.h"

namespace hearth {
namespace {

enum class Kind { text, json, unknown };

// What the tool's schema says of an argument.
Kind kind_of(const Json* tool, std::string_view key) {
  const Json* parameters = tool ? tool->find("parameters") : nullptr;
  const Json* properties = parameters ? parameters->find("properties") : nullptr;
  const Json* schema = properties ? properties->find(key) : nullptr;
  const Json* type = schema ? schema->find("type") : nullptr;
  if (!type) return Kind::unknown;
  if (type->is_array()) return Kind::unknown;
  return *type == Json("string") ? Kind::text : Kind::json;
}

// The inside of a JSON text.  Bytes above ASCII stay as they are: a part may end within a
// character.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (c == '\n')
      out += "\\n";
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out;
}

// A value of unknown type, or one that is no text.
std::string as_json(std::string_view text, Kind kind) {
  if (const auto value = parse_json(text); value && !(kind == Kind::unknown && value->is_string()))
    return std::string(text);
  if (kind == Kind::json) {
    if (text == "True") return "true";
    if (text == "False") return "false";
    if (text == "None") return "null";
  }
  return fmt::format("\"{}\"", escaped(text));
}

class TaggedCalls final : public CallParser {
 public:
  TaggedCalls(const CallForm& form, const Json& tools) : form_(form), tools_(tools) {}

  Verdict read(std::string_view text, bool is_last, CallSink& sink) override {
    for (;;) {
      const Step step = is_in_value_  ? read_value(text, is_last, sink)
                        : is_in_call_ ? read_inside(text, is_last, sink)
                                      : read_name(text, is_last, sink);
      if (step == Step::on) continue;
      if (step == Step::more && !is_last) return Verdict::more;
      close_call(sink);
      return calls_ > 0 ? Verdict::done : Verdict::none;
    }
  }

 private:
  enum class Step { on, more, over };

  Step read_name(std::string_view text, bool is_last, CallSink& sink) {
    const std::size_t at = skip_blank(text, at_);
    if (at == text.size()) return Step::more;
    if (stands_at(text, at, form_.close)) {
      at_ = at + form_.close.size();
      return Step::over;
    }
    if (!is_last && may_stand_at(text, at, form_.close)) return Step::more;
    if (form_.name_open.empty())
      return calls_ > 0 ? Step::over : read_plain_name(text, at, is_last, sink);
    if (!stands_at(text, at, form_.name_open))
      return may_stand_at(text, at, form_.name_open) ? Step::more : Step::over;
    const std::size_t name = at + form_.name_open.size();
    const std::size_t end = text.find(form_.name_close, name);
    if (end == text.npos) return Step::more;
    at_ = end + form_.name_close.size();
    begin(text.substr(name, end - name), sink);
    return Step::on;
  }

  // A name that ends where its line or what follows begins.
  Step read_plain_name(std::string_view text, std::size_t at, bool is_last, CallSink& sink) {
    const std::size_t end =
        std::min({text.find('\n', at), text.find(form_.key_open, at), text.find(form_.close, at)});
    if (end == text.npos && !is_last) return Step::more;
    std::string_view name = text.substr(at, end == text.npos ? end : end - at);
    while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
    if (name.empty() || name.front() == '{') return Step::over;
    at_ = std::min(end, text.size());
    begin(name, sink);
    return Step::on;
  }

  void begin(std::string_view name, CallSink& sink) {
    tool_ = find_tool(tools_, name);
    is_in_call_ = true;
    arguments_ = 0;
    ++calls_;
    sink.begin(std::string(name));
  }

  Step read_inside(std::string_view text, bool is_last, CallSink& sink) {
    const std::size_t at = skip_blank(text, at_);
    if (at == text.size()) return Step::more;
    if (stands_at(text, at, form_.key_open)) return read_key(text, at, sink);
    if (stands_at(text, at, form_.function_close)) {
      at_ = at + form_.function_close.size();
      close_call(sink);
      return Step::on;
    }
    if (stands_at(text, at, form_.close)) {
      close_call(sink);
      at_ = at + form_.close.size();
      return Step::over;
    }
    for (const std::string_view mark : {form_.key_open, form_.function_close, form_.close})
      if (!is_last && may_stand_at(text, at, mark)) return Step::more;
    at_ = at + 1;  // what belongs nowhere
    return Step::on;
  }

  Step read_key(std::string_view text, std::size_t at, CallSink& sink) {
    const std::size_t key = at + form_.key_open.size();
    const std::size_t end = text.find(form_.key_close, key);
    if (end == text.npos) return Step::more;
    std::size_t value = end + form_.key_close.size();
    std::string_view attributes;
    if (!form_.value_open.empty()) {
      const std::size_t open = text.find(form_.value_open, value);
      if (open == text.npos) return Step::more;
      attributes = text.substr(value, open - value);
      value = open + form_.value_open.size();
    }
    const std::string_view name = text.substr(key, end - key);
    kind_ = kind_of(tool_, name);
    if (attributes.find("string=\"true\"") != attributes.npos) kind_ = Kind::text;
    if (attributes.find("string=\"false\"") != attributes.npos) kind_ = Kind::json;
    sink.arguments(fmt::format("{}\"{}\": {}", arguments_++ ? ", " : "{", escaped(name),
                               kind_ == Kind::text ? "\"" : ""));
    at_ = value_ = value;
    is_in_value_ = is_at_start_ = true;
    return Step::on;
  }

  // One line end after the opening mark and one before the closing mark belong to the marks.
  Step read_value(std::string_view text, bool is_last, CallSink& sink) {
    const std::size_t close = text.find(form_.value_close, at_);
    const bool is_over = close != text.npos || is_last;
    const std::size_t end =
        close != text.npos
            ? close
            : text.size() - (is_last ? 0 : begun_mark(text.substr(at_), form_.value_close));
    if (kind_ == Kind::text) {
      give_text(text.substr(0, end), sink);
      if (is_over) sink.arguments("\"");
    } else if (is_over) {
      std::string_view value = text.substr(value_, end - value_);
      if (value.starts_with('\n')) value.remove_prefix(1);
      if (value.ends_with('\n')) value.remove_suffix(1);
      sink.arguments(as_json(value, kind_));
    } else {
      at_ = end;
    }
    if (!is_over) return Step::more;
    is_in_value_ = false;
    at_ = close != text.npos ? close + form_.value_close.size() : text.size();
    return Step::on;
  }

  // Texts are given as they come, but for a line end that may be the last.
  void give_text(std::string_view text, CallSink& sink) {
    if (is_at_start_ && at_ < text.size()) {
      is_at_start_ = false;
      if (text[at_] == '\n') ++at_;
    }
    std::string_view part = text.substr(at_);
    if (part.ends_with('\n')) part.remove_suffix(1);
    sink.arguments(escaped(part));
    at_ += part.size();
  }

  void close_call(CallSink& sink) {
    if (!is_in_call_) return;
    is_in_call_ = false;
    sink.arguments(arguments_ ? "}" : "{}");
    sink.end();
  }

  const CallForm& form_;
  const Json& tools_;
  const Json* tool_ = nullptr;
  int calls_ = 0, arguments_ = 0;
  bool is_in_call_ = false, is_in_value_ = false, is_at_start_ = false;
  Kind kind_ = Kind::unknown;
  std::size_t value_ = 0;  // where the argument's value begins
};

}  // namespace

std::unique_ptr<CallParser> make_tagged_parser(const CallForm& form, const Json& tools) {
  return std::make_unique<TaggedCalls>(form, tools);
}

}  // namespace hearth
