#include "server/metrics.h"

#include <fmt/core.h>

namespace hearth::server {

void Histogram::add(double seconds) {
  counts_.with([&](Counts& counts) {
    for (std::size_t i = 0; i < bounds.size(); ++i) counts.at_most[i] += seconds <= bounds[i];
    ++counts.all;
    counts.sum += seconds;
  });
}

double Histogram::mean() const {
  return counts_.with([](const Counts& counts) {
    return counts.all == 0 ? 0 : counts.sum / static_cast<double>(counts.all);
  });
}

void Histogram::append_to(std::string& page, std::string_view name, std::string_view help) const {
  const Counts counts = counts_.with([](const Counts& all) { return all; });
  append_metric(page, name, "histogram", help);
  const std::string bucket = fmt::format("{}_bucket", name);
  for (std::size_t i = 0; i < bounds.size(); ++i)
    append_sample(page, bucket, label("le", fmt::format("{}", bounds[i])),
                  static_cast<double>(counts.at_most[i]));
  append_sample(page, bucket, label("le", "+Inf"), static_cast<double>(counts.all));
  append_sample(page, fmt::format("{}_sum", name), "", counts.sum);
  append_sample(page, fmt::format("{}_count", name), "", static_cast<double>(counts.all));
}

void Metrics::count_answer(std::string_view route, int status) {
  answers_.with([&](auto& answers) { ++answers[{std::string(route), status}]; });
}

std::string Metrics::answers_page() const {
  std::string page;
  append_metric(page, "hearth_http_answers_total", "counter", "Answers by route and status.");
  answers_.with([&](const auto& answers) {
    for (const auto& [key, count] : answers)
      append_sample(page, "hearth_http_answers_total",
                    fmt::format("{},{}", label("route", key.first),
                                label("status", fmt::format("{}", key.second))),
                    static_cast<double>(count));
  });
  return page;
}

void append_metric(std::string& page, std::string_view name, std::string_view type,
                   std::string_view help) {
  page += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void append_sample(std::string& page, std::string_view name, std::string_view labels,
                   double value) {
  page += name;
  if (!labels.empty()) page += fmt::format("{{{}}}", labels);
  page += fmt::format(" {:.15g}\n", value);
}

std::string label(std::string_view name, std::string_view value) {
  std::string text = fmt::format("{}=\"", name);
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n')
      text += "\\n";
    else
      text += c;
  }
  return text + '"';
}

}  // namespace hearth::server
