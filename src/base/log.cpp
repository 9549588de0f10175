#include "base/log.h"

#include <atomic>
#include <cstdio>
#include <ctime>

namespace hearth {
namespace {

std::atomic<LogLevel> threshold{LogLevel::warning};  // the log sink is the one global we allow

// Control characters from outside must not forge lines or move the cursor.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

}  // namespace

void set_log_level(LogLevel level) { threshold = level; }

void log_line(LogLevel level, std::string_view text) {
  if (level < threshold) return;
  static constexpr const char* names[] = {"debug", "info", "warning", "error", ""};
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
  const std::string line =
      fmt::format("{} {} {}\n", stamp, names[static_cast<int>(level)], printable(text));
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace hearth
