// Marked: text in which every byte knows who wrote it, the template (trusted) or an input.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::jinja {

// Runs of one origin are kept as the byte offsets where the origin changes, so a text of a single
// origin costs no more than a string.
class Marked {
 public:
  Marked() = default;
  Marked(std::string text, bool trusted) : text_(std::move(text)), first_trusted_(trusted) {}

  std::string_view view() const { return text_; }
  std::size_t size() const { return text_.size(); }
  bool empty() const { return text_.empty(); }
  bool uniform() const { return turns_.empty(); }
  // False only if every byte comes from the template; true for no bytes.
  bool all_trusted() const { return text_.empty() || (turns_.empty() && first_trusted_); }
  bool trusted_at(std::size_t byte) const {
    const auto turn = std::upper_bound(turns_.begin(), turns_.end(), byte);
    return first_trusted_ != (((turn - turns_.begin()) & 1) != 0);
  }

  void append(std::string_view text, bool trusted);
  void append(const Marked& other) { append(other, 0, other.size()); }
  void append(const Marked& other, std::size_t from, std::size_t to);
  Marked sub(std::size_t from, std::size_t to) const;

  // Calls visit(view, trusted) for each run inside [from, to), in order.
  template <typename Visit>
  void for_runs(std::size_t from, std::size_t to, Visit&& visit) const {
    std::size_t turn = static_cast<std::size_t>(
        std::upper_bound(turns_.begin(), turns_.end(), from) - turns_.begin());
    while (from < to) {
      const std::size_t end = turn < turns_.size() ? std::min(turns_[turn], to) : to;
      visit(std::string_view(text_).substr(from, end - from), first_trusted_ != ((turn & 1) != 0));
      from = end;
      ++turn;
    }
  }

 private:
  std::string text_;
  std::vector<std::size_t> turns_;  // rising, inside (0, size)
  bool first_trusted_ = true;
};

}  // namespace hearth::jinja
