#include "text/jinja/marked.h"

namespace hearth::jinja {

void Marked::append(std::string_view text, bool trusted) {
  if (text.empty()) return;
  if (text_.empty()) {
    first_trusted_ = trusted;
  } else {
    const bool last_trusted = first_trusted_ != ((turns_.size() & 1) != 0);
    if (last_trusted != trusted) turns_.push_back(text_.size());
  }
  text_.append(text);
}

void Marked::append(const Marked& other, std::size_t from, std::size_t to) {
  if (&other == this) {
    const Marked copy = other.sub(from, to);
    append(copy, 0, copy.size());
    return;
  }
  other.for_runs(from, to, [&](std::string_view run, bool trusted) { append(run, trusted); });
}

Marked Marked::sub(std::size_t from, std::size_t to) const {
  Marked part;
  for_runs(from, to, [&](std::string_view run, bool trusted) { part.append(run, trusted); });
  return part;
}

}  // namespace hearth::jinja
