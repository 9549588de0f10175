// Output: tables and text for people, one JSON object for programs.
#pragma once

#include <fmt/core.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace hearth::cli {

// Writes to standard output and, for progress and remarks, standard error.  Used by one thread.
class Output {
 public:
  Output();

  bool is_terminal() const { return terminal_; }  // standard output
  bool has_colour() const { return terminal_ && colour_; }

  void text(std::string_view piece);  // at once: flushed
  void line(std::string_view text);
  // A label and a value, in columns.
  void row(std::string_view label, std::string_view value);
  void json(const Json& value);
  // Standard error, only when it is a terminal: what takes long, how far it is and how much longer
  // it will take if it goes on as it did.
  void progress(std::string_view what, double share);
  void progress_text(std::string_view text);
  void progress_done();
  bool shows_progress() const { return error_terminal_; }
  void remark(std::string_view text);  // standard error
  std::string bold(std::string_view text) const;
  std::string dim(std::string_view text) const;

 private:
  bool terminal_, colour_, error_terminal_;
  bool progress_shown_ = false;
  std::string progress_of_;
  std::chrono::steady_clock::time_point progress_began_;
};

// "1.5 GB", "820 MB", "12 KB": powers of 1000.
std::string readable_bytes(std::uint64_t bytes);
// "8 s", "3 min 20 s", "2 h 5 min"
std::string readable_seconds(double seconds);
// "494 M", "1.5 B"
std::string readable_count(std::uint64_t count);

}  // namespace hearth::cli
