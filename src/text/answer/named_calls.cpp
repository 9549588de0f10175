// Calls as a name, a mark and the arguments' JSON.
#include <algorithm>

#include "base/ascii.h"
#include "text/answer/call_parsers.h"

namespace hearth {
namespace {

constexpr std::size_t max_header_bytes = 512;  // a name, an id and the marks between them

struct Header {
  std::string name, id;
};

// "functions.NAME:3", which is the call's id, too.
void read_numbered(Header& header) {
  constexpr std::string_view prefix = "functions.";
  const std::size_t colon = header.name.rfind(':');
  if (!header.name.starts_with(prefix) || colon == std::string::npos) return;
  header.id = header.name;
  header.name = header.name.substr(prefix.size(), colon - prefix.size());
}

Header read_header(std::string_view text, const CallForm& form) {
  Header header;
  std::string_view rest;
  std::size_t first = text.size();
  for (const std::string_view separator : form.separators) {
    const std::size_t found = separator.empty() ? text.npos : text.find(separator);
    if (found >= first) continue;
    first = found;
    rest = text.substr(found + separator.size());
  }
  header.name = trimmed(text.substr(0, first));
  // Between the two separators stands an id.
  const std::string_view last = form.separators[1];
  if (const std::size_t end = last.empty() ? rest.npos : rest.find(last); end != rest.npos)
    header.id = trimmed(rest.substr(0, end));
  // "function", then the name on a line of its own, then a fence of code.
  const std::string_view line = trimmed(rest.substr(0, rest.find('\n')));
  if (header.name == "function" && !line.empty() && last.empty()) header.name = line;
  read_numbered(header);
  return header;
}

class NamedCall final : public CallParser {
 public:
  explicit NamedCall(const CallForm& form) : form_(form) {}

  Verdict read(std::string_view text, bool is_last, CallSink& sink) override {
    if (!is_begun_) {
      const std::size_t brace = text.find('{');
      if (brace == text.npos && !is_last && text.size() <= max_header_bytes) return Verdict::more;
      if (brace == text.npos || brace > max_header_bytes) return Verdict::none;
      Header header = read_header(text.substr(0, brace), form_);
      if (header.name.empty()) return Verdict::none;
      sink.begin(std::move(header.name), std::move(header.id));
      is_begun_ = true;
      at_ = brace;
    }
    if (!is_value_over_) {
      const std::size_t from = at_;
      is_value_over_ = end_.scan(text, at_);
      sink.arguments(text.substr(from, at_ - from));
      if (is_value_over_ || is_last) sink.end();
      if (!is_value_over_) return is_last ? Verdict::done : Verdict::more;
    }
    return read_close(text, is_last);
  }

 private:
  Verdict read_close(std::string_view text, bool is_last) {
    if (form_.close.empty()) return Verdict::done;
    std::size_t at = at_;
    while (at < text.size() && (is_blank(text[at]) || text[at] == '`')) ++at;
    if (stands_at(text, at, form_.close)) {
      at_ = at + form_.close.size();
      return Verdict::done;
    }
    const bool may_come = at == text.size() || may_stand_at(text, at, form_.close);
    return may_come && !is_last ? Verdict::more : Verdict::done;
  }

  const CallForm& form_;
  bool is_begun_ = false, is_value_over_ = false;
  ValueEnd end_;
};

}  // namespace

std::unique_ptr<CallParser> make_named_parser(const CallForm& form) {
  return std::make_unique<NamedCall>(form);
}

}  // namespace hearth
