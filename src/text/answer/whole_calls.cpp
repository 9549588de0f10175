// Calls that are read once they are whole: Python's [f(a=1)], and f{a:1} with strings between
// marks.
#include <fmt/core.h>

#include <optional>

#include "text/answer/call_parsers.h"

namespace hearth {
namespace {

constexpr int max_depth = 32;

struct WholeCall {
  std::string name;
  Json arguments = Json::object();
};

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-' || c == '+';
}

// Both languages differ in little: how a member is written, and how a string is.
class Reader {
 public:
  // `string_mark`: empty: Python.
  Reader(std::string_view text, std::string_view string_mark)
      : text_(text), mark_(string_mark), is_python_(string_mark.empty()) {}

  // [f(a=1), g()]
  std::optional<std::vector<WholeCall>> read_list() {
    std::vector<WholeCall> calls;
    take("[");
    for (;;) {
      auto call = read_call("(", ")", "=");
      if (!call) return std::nullopt;
      calls.push_back(std::move(*call));
      if (!take(",")) break;
    }
    take("]");
    if (!is_over()) return std::nullopt;
    return calls;
  }
  // f{a:1}
  std::optional<WholeCall> read_one() {
    auto call = read_call("{", "}", ":");
    return is_over() ? std::move(call) : std::nullopt;
  }

 private:
  std::optional<WholeCall> read_call(std::string_view open, std::string_view close,
                                     std::string_view between) {
    WholeCall call;
    call.name = word();
    if (call.name.empty() || !take(open)) return std::nullopt;
    if (!read_members(close, between, call.arguments, 0)) return std::nullopt;
    return call;
  }

  bool read_members(std::string_view close, std::string_view between, Json& object, int depth) {
    if (take(close)) return true;
    for (;;) {
      auto key = at_string() ? string() : std::optional(word());
      if (!key || key->empty() || !take(between)) return false;
      auto value = read_value(depth + 1);
      if (!value) return false;
      object.set(std::move(*key), std::move(*value));
      if (take(close)) return true;
      if (!take(",")) return false;
    }
  }

  std::optional<Json> read_value(int depth) {
    if (depth > max_depth) return std::nullopt;
    if (at_string()) {
      auto text = string();
      return text ? std::optional(Json(std::move(*text))) : std::nullopt;
    }
    if (take("{")) {
      Json object = Json::object();
      return read_members("}", ":", object, depth) ? std::optional(std::move(object))
                                                   : std::nullopt;
    }
    if (take("[")) return read_items("]", depth);
    if (is_python_ && take("(")) return read_items(")", depth);
    return scalar(word());
  }

  std::optional<Json> read_items(std::string_view close, int depth) {
    Json list = Json::array();
    while (!take(close)) {
      auto item = read_value(depth + 1);
      if (!item) return std::nullopt;
      list.push_back(std::move(*item));
      if (!take(",") && !stands_at(text_, skip(), close)) return std::nullopt;
    }
    return list;
  }

  static std::optional<Json> scalar(const std::string& word) {
    if (word == "True" || word == "true") return Json(true);
    if (word == "False" || word == "false") return Json(false);
    if (word == "None" || word == "null") return Json();
    if (word.empty()) return std::nullopt;
    if (auto number = parse_json(word); number && number->is_number()) return std::move(*number);
    return Json(word);
  }

  bool at_string() {
    const std::size_t at = skip();
    if (!is_python_) return stands_at(text_, at, mark_) || stands_at(text_, at, "\"");
    return stands_at(text_, at, "\"") || stands_at(text_, at, "'");
  }

  std::optional<std::string> string() {
    at_ = skip();
    if (!is_python_ && stands_at(text_, at_, mark_)) {
      const std::size_t begin = at_ + mark_.size();
      const std::size_t end = text_.find(mark_, begin);
      if (end == text_.npos) return std::nullopt;
      at_ = end + mark_.size();
      return std::string(text_.substr(begin, end - begin));
    }
    const char quote = text_[at_++];
    std::string out;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size())
        out += unescaped(text_[++at_]);
      else
        out += text_[at_];
      ++at_;
    }
    if (at_ == text_.size()) return std::nullopt;
    ++at_;
    return out;
  }

  static char unescaped(char c) { return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c; }

  std::string word() {
    at_ = skip();
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }
  bool take(std::string_view mark) {
    const std::size_t at = skip();
    if (!stands_at(text_, at, mark)) return false;
    at_ = at + mark.size();
    return true;
  }
  std::size_t skip() const { return skip_blank(text_, at_); }
  bool is_over() const { return skip() == text_.size(); }

  const std::string_view text_, mark_;
  const bool is_python_;
  std::size_t at_ = 0;
};

class WholeCalls final : public CallParser {
 public:
  explicit WholeCalls(const CallForm& form) : form_(form) {}

  Verdict read(std::string_view text, bool is_last, CallSink& sink) override {
    const std::size_t close = text.find(form_.close, at_);
    if (close == text.npos && !is_last) {
      at_ = text.size() - begun_mark(text, form_.close);
      return Verdict::more;
    }
    Reader reader(text.substr(0, close), form_.value_open);
    std::vector<WholeCall> calls;
    if (form_.syntax == CallSyntax::python) {
      auto list = reader.read_list();
      if (list) calls = std::move(*list);
    } else if (auto one = reader.read_one()) {
      calls.push_back(std::move(*one));
    }
    if (calls.empty()) return Verdict::none;
    for (WholeCall& call : calls) {
      sink.begin(std::move(call.name));
      sink.arguments(write_json(call.arguments));
      sink.end();
    }
    at_ = close == text.npos ? text.size() : close + form_.close.size();
    return Verdict::done;
  }

 private:
  const CallForm& form_;
};

}  // namespace

std::unique_ptr<CallParser> make_whole_parser(const CallForm& form) {
  return std::make_unique<WholeCalls>(form);
}

}  // namespace hearth
