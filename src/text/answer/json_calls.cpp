// Calls as JSON objects: {"name": ..., "arguments": {...}}, alone or in a list.
#include <algorithm>
#include <array>

#include "text/answer/call_parsers.h"

namespace hearth {
namespace {

constexpr std::array<std::string_view, 2> name_keys = {"name", "tool_name"};
constexpr std::array<std::string_view, 2> argument_keys = {"arguments", "parameters"};
// Seen and left out: models count their calls from 0 in every answer.
constexpr std::array<std::string_view, 4> other_keys = {"id", "tool_call_id", "call_id", "type"};

template <typename List>
bool is_one_of(const List& list, std::string_view key) {
  return std::ranges::find(list, key) != list.end();
}

class JsonCalls final : public CallParser {
 public:
  JsonCalls(const CallForm& form, const Json& tools) : form_(form), tools_(tools) {}

  Verdict read(std::string_view text, bool is_last, CallSink& sink) override {
    for (;;) {
      const Step step = is_in_value_  ? read_arguments(text, is_last, sink)
                        : is_in_call_ ? read_member(text, is_last, sink)
                                      : read_gap(text, is_last);
      if (step == Step::on) continue;
      if (step == Step::more && !is_last) return Verdict::more;
      return leave(sink);
    }
  }

 private:
  enum class Step { on, more, over, wrong };

  // Between calls.
  Step read_gap(std::string_view text, bool is_last) {
    std::size_t at = at_;
    while (at < text.size() && (is_blank(text[at]) || text[at] == ',' || text[at] == ';' ||
                                text[at] == '[' || text[at] == ']')) {
      // Without a closing mark a list's end is the end.
      if (text[at] == ']' && form_.close.empty() && calls_ > 0) {
        at_ = at + 1;
        return Step::over;
      }
      ++at;
    }
    if (at == text.size()) return Step::more;
    if (stands_at(text, at, form_.close)) {
      at_ = at + form_.close.size();
      return calls_ > 0 ? Step::over : Step::wrong;
    }
    if (!is_last && may_stand_at(text, at, form_.close)) return Step::more;
    if (text[at] != '{') return calls_ > 0 ? Step::over : Step::wrong;
    at_ = at + 1;
    is_in_call_ = true;
    name_.clear();
    waiting_.clear();
    is_named_ = has_arguments_ = false;
    nested_ = 0;
    return Step::on;
  }

  Step read_member(std::string_view text, bool is_last, CallSink& sink) {
    std::size_t at = at_;
    while (at < text.size() && (is_blank(text[at]) || text[at] == ',')) ++at;
    if (at == text.size()) return Step::more;
    if (text[at] == '}') {
      at_ = at + 1;
      return nested_-- > 0 ? Step::on : end_call(sink);
    }
    if (text[at] != '"') return Step::wrong;
    std::size_t key_end = at;
    if (!ValueEnd().scan(text, key_end)) return Step::more;
    const auto key = parse_json(text.substr(at, key_end - at));
    if (!key || !key->is_string()) return Step::wrong;
    at = skip_blank(text, key_end);
    if (at == text.size()) return Step::more;
    if (text[at] != ':') return Step::wrong;
    at = skip_blank(text, at + 1);
    if (at == text.size()) return Step::more;
    return read_value(text, at, key->as_string(), is_last, sink);
  }

  Step read_value(std::string_view text, std::size_t at, const std::string& key, bool is_last,
                  CallSink& sink) {
    if (form_.syntax == CallSyntax::keyed_json && !is_named_ && text[at] == '{') {
      begin(key, sink);
      return begin_arguments(at);
    }
    if (is_one_of(argument_keys, key)) return begin_arguments(at);
    if (key == "function" && text[at] == '{') {
      ++nested_;
      at_ = at + 1;
      return Step::on;
    }
    const bool is_name = is_one_of(name_keys, key) || key == "function";
    const bool is_known = is_name || is_one_of(other_keys, key);
    if (form_.syntax == CallSyntax::bare_json && !is_known) return Step::wrong;
    std::size_t end = at;
    if (!ValueEnd().scan(text, end) && !is_last) return Step::more;
    const auto value = parse_json(text.substr(at, end - at));
    at_ = end;
    if (!value) return Step::wrong;
    if (!is_name || is_named_) return Step::on;
    if (!value->is_string()) return Step::wrong;
    // Without a mark only the name tells a call from an answer in JSON.
    if (form_.syntax == CallSyntax::bare_json && !find_tool(tools_, value->as_string()))
      return Step::wrong;
    name_ = value->as_string();
    return Step::on;
  }

  Step begin_arguments(std::size_t at) {
    at_ = sent_ = value_ = at;
    end_ = ValueEnd();
    is_in_value_ = has_arguments_ = true;
    return Step::on;
  }

  Step read_arguments(std::string_view text, bool is_last, CallSink& sink) {
    const bool is_over = end_.scan(text, at_);
    const bool is_object = text[value_] == '{';
    if (is_object) {
      give(text.substr(sent_, at_ - sent_), sink);
      sent_ = at_;
    }
    if (!is_over && !is_last) return Step::more;
    is_in_value_ = false;
    if (!is_object) {
      // Some write the object as a text.
      const auto value = parse_json(text.substr(value_, at_ - value_));
      const bool is_text = value && value->is_string();
      const bool is_list = value && value->is_array() && value->size() > 0;
      give(is_text ? value->as_string() : is_list ? write_json(*value) : "{}", sink);
    }
    return is_over ? Step::on : Step::more;
  }

  void begin(std::string name, CallSink& sink) {
    is_named_ = true;
    ++calls_;
    sink.begin(std::move(name));
  }

  void give(std::string_view part, CallSink& sink) {
    if (!is_named_ && !name_.empty()) begin(name_, sink);
    if (!is_named_) {
      waiting_ += part;
      return;
    }
    sink.arguments(waiting_);
    waiting_.clear();
    sink.arguments(part);
  }

  Step end_call(CallSink& sink) {
    is_in_call_ = false;
    if (!is_named_ && name_.empty()) return Step::wrong;
    give(has_arguments_ ? "" : "{}", sink);
    is_named_ = false;
    sink.end();
    return Step::on;
  }

  Verdict leave(CallSink& sink) {
    if (is_in_call_ && is_named_) sink.end();
    is_in_call_ = is_in_value_ = is_named_ = false;
    return calls_ > 0 ? Verdict::done : Verdict::none;
  }

  const CallForm& form_;
  const Json& tools_;
  int calls_ = 0, nested_ = 0;
  bool is_in_call_ = false, is_in_value_ = false, is_named_ = false, has_arguments_ = false;
  std::string name_;
  std::string waiting_;               // arguments that came before the name
  std::size_t value_ = 0, sent_ = 0;  // where the arguments begin, and what of them was given
  ValueEnd end_;
};

}  // namespace

std::unique_ptr<CallParser> make_json_parser(const CallForm& form, const Json& tools) {
  return std::make_unique<JsonCalls>(form, tools);
}

}  // namespace hearth
