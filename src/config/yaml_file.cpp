// The one place that knows the YAML library.
#include <fmt/core.h>
#include <yaml.h>

#include <charconv>

#include "base/utf8.h"
#include "config/file_values.h"

namespace hearth {
namespace {

constexpr int max_depth = 16;  // groups in groups; ours have two

class Event {
 public:
  Event() = default;
  ~Event() { yaml_event_delete(&event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  yaml_event_t* get() { return &event_; }
  yaml_event_type_t type() const { return event_.type; }
  unsigned line() const { return static_cast<unsigned>(event_.start_mark.line) + 1; }
  std::string text() const {
    return {reinterpret_cast<const char*>(event_.data.scalar.value), event_.data.scalar.length};
  }
  bool is_plain() const { return event_.data.scalar.style == YAML_PLAIN_SCALAR_STYLE; }

 private:
  yaml_event_t event_{};
};

class Reader {
 public:
  explicit Reader(std::string_view text) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~Reader() { yaml_parser_delete(&parser_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Status read() {
    Event start, document, first;
    TRY(next(start));
    TRY(next(document));
    if (document.type() == YAML_STREAM_END_EVENT) return Done{};  // an empty file
    TRY(next(first));
    if (first.type() == YAML_SCALAR_EVENT && first.text().empty()) return Done{};  // comments only
    if (first.type() != YAML_MAPPING_START_EVENT) return needs(first, "needs names and values");
    return read_group("", 0);
  }
  std::vector<FileValue> values;

 private:
  Status needs(const Event& event, std::string_view what) const {
    return Error(ErrorKind::invalid, fmt::format("line {}: {}", event.line(), what));
  }

  Status next(Event& event) {
    if (yaml_parser_parse(&parser_, event.get()) != 0) {
      if (event.type() == YAML_ALIAS_EVENT) return needs(event, "an alias is no value");
      return Done{};
    }
    return Error(ErrorKind::invalid, fmt::format("line {}: {}", parser_.problem_mark.line + 1,
                                                 parser_.problem ? parser_.problem : "is no YAML"));
  }

  // After the start of a mapping, to its end.
  Status read_group(const std::string& prefix, int depth) {
    while (true) {
      Event name, value;
      TRY(next(name));
      if (name.type() == YAML_MAPPING_END_EVENT) return Done{};
      if (name.type() != YAML_SCALAR_EVENT) return needs(name, "a name must be a word");
      const std::string key = prefix + name.text();
      TRY(next(value));
      if (value.type() == YAML_MAPPING_START_EVENT) {
        if (depth == max_depth) return needs(value, "is nested too deeply");
        TRY(read_group(key + ".", depth + 1));
        continue;
      }
      Json held = TRY(read_value(value));
      values.push_back({key, std::move(held), name.line(), value.line()});
    }
  }

  Result<Json> read_value(const Event& value) {
    if (value.type() == YAML_SCALAR_EVENT) return scalar(value);
    if (value.type() != YAML_SEQUENCE_START_EVENT)
      return Error(ErrorKind::invalid, fmt::format("line {}: is no value", value.line()));
    Json list = Json::array();
    while (true) {
      Event item;
      TRY(next(item));
      if (item.type() == YAML_SEQUENCE_END_EVENT) return list;
      if (item.type() != YAML_SCALAR_EVENT)
        return Error(ErrorKind::invalid,
                     fmt::format("line {}: a list holds words and numbers only", item.line()));
      list.push_back(scalar(item));
    }
  }

  // Plain words are numbers and truths where they look so.
  static Json scalar(const Event& event) {
    const std::string text = event.text();
    if (!event.is_plain()) return text;
    if (text == "true" || text == "True" || text == "TRUE") return true;
    if (text == "false" || text == "False" || text == "FALSE") return false;
    if (text.empty() || text == "~" || text == "null") return {};
    const char* last = text.data() + text.size();
    std::int64_t whole = 0;
    if (const auto [end, error] = std::from_chars(text.data(), last, whole);
        end == last && error == std::errc())
      return whole;
    double number = 0;
    if (const auto [end, error] = std::from_chars(text.data(), last, number);
        end == last && error == std::errc())
      return number;
    return text;
  }

  yaml_parser_t parser_{};
};

}  // namespace

Result<std::vector<FileValue>> parse_yaml(std::string_view text) {
  if (!is_utf8(text)) return Error(ErrorKind::invalid, "is not UTF-8");
  Reader reader(text);
  TRY(reader.read());
  return std::move(reader.values);
}

}  // namespace hearth
