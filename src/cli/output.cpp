#include "cli/output.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace hearth::cli {

Output::Output()
    : terminal_(::isatty(STDOUT_FILENO) == 1),
      colour_(std::getenv("NO_COLOR") == nullptr),
      error_terminal_(::isatty(STDERR_FILENO) == 1) {}

void Output::text(std::string_view piece) {
  std::fwrite(piece.data(), 1, piece.size(), stdout);
  std::fflush(stdout);
}

void Output::line(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
}

void Output::row(std::string_view label, std::string_view value) {
  line(fmt::format("  {:<18} {}", label, value));
}

void Output::json(const Json& value) { line(write_json(value)); }

void Output::progress(std::string_view what, double share) {
  if (!error_terminal_) return;
  const auto now = std::chrono::steady_clock::now();
  if (!progress_shown_ || progress_of_ != what) {
    progress_of_ = what;
    progress_began_ = now;
  }
  const double seconds = std::chrono::duration<double>(now - progress_began_).count();
  constexpr double seconds_to_tell = 2, share_to_tell = 0.01;
  const bool tells = seconds >= seconds_to_tell && share >= share_to_tell && share < 1;
  constexpr int width = 30;
  const int done = static_cast<int>(share * width);
  progress_text(fmt::format(
      "{} [{:<{}}] {:3.0f} %{}", what, std::string(static_cast<std::size_t>(done), '#'), width,
      share * 100,
      tells ? fmt::format(", {} left", readable_seconds(seconds / share * (1 - share))) : ""));
}

void Output::progress_text(std::string_view text) {
  if (!error_terminal_) return;
  std::fprintf(stderr, "\r\033[K%.*s", static_cast<int>(text.size()), text.data());
  progress_shown_ = true;
}

void Output::progress_done() {
  if (progress_shown_) std::fprintf(stderr, "\r\033[K");
  progress_shown_ = false;
}

void Output::remark(std::string_view text) {
  progress_done();
  std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
}

std::string Output::bold(std::string_view text) const {
  return has_colour() ? fmt::format("\033[1m{}\033[0m", text) : std::string(text);
}

std::string Output::dim(std::string_view text) const {
  return has_colour() ? fmt::format("\033[2m{}\033[0m", text) : std::string(text);
}

std::string readable_bytes(std::uint64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (value >= 1e9) return fmt::format("{:.2f} GB", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} MB", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.1f} KB", value / 1e3);
  return fmt::format("{} bytes", bytes);
}

std::string readable_seconds(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string readable_count(std::uint64_t count) {
  const double value = static_cast<double>(count);
  if (value >= 1e9) return fmt::format("{:.2f} B", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.1f} K", value / 1e3);
  return fmt::format("{}", count);
}

}  // namespace hearth::cli
