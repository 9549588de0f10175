// What the server counts, and how Prometheus reads it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/guarded.h"

namespace hearth::server {

// Counts of durations by upper bound.  Thread-safe.
class Histogram {
 public:
  static constexpr std::array<double, 12> bounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                    0.5,   1,    2.5,   5,    10,  60};
  void add(double seconds);
  void append_to(std::string& page, std::string_view name, std::string_view help) const;
  double mean() const;  // 0 when nothing was added

 private:
  struct Counts {
    std::array<std::uint64_t, bounds.size()> at_most{};
    std::uint64_t all = 0;
    double sum = 0;
  };
  Guarded<Counts> counts_;
};

// Thread-safe.
class Metrics {
 public:
  // `route`: a row's path, so that there are as many labels as rows.
  void count_answer(std::string_view route, int status);
  std::string answers_page() const;

  Histogram first_token_seconds, request_seconds;

 private:
  Guarded<std::map<std::pair<std::string, int>, std::uint64_t>> answers_;
};

// One metric of the text format: "# HELP", "# TYPE" and a sample for each label.
// Source: Prometheus exposition formats, "Text-based format".
void append_metric(std::string& page, std::string_view name, std::string_view type,
                   std::string_view help);
void append_sample(std::string& page, std::string_view name, std::string_view labels, double value);
std::string label(std::string_view name, std::string_view value);  // name="value", escaped

}  // namespace hearth::server
