#include "library/retry.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <ctime>
#include <mutex>

#include "http/secrets.h"

namespace hearth {
namespace {

constexpr double first_seconds = 0.25, max_seconds = 30;
constexpr double max_retry_after_seconds = 300;  // longer than a person waits at a prompt
constexpr int max_total = 1000;                  // even where every attempt brings some bytes

std::string words_of(int status) {
  switch (status) {
    case 401:
      return "401: it wants a token; for Hugging Face, set HF_TOKEN";
    case 403:
      return "403: this is not allowed with the token given";
    case 404:
      return "404: there is no such file";
    case 410:
      return "410: it is gone for good";
    case 416:
      return "416: the server does not have that part of the file";
    case 429:
      return "429: too many requests";
    case 451:
      return "451: withheld for legal reasons";
    default:
      return fmt::format("the server answered {}", status);
  }
}

std::string host_of(const std::string& url) {
  const std::size_t begin = url.find("://");
  if (begin == url.npos) return url;
  return url.substr(begin + 3, url.find('/', begin + 3) - begin - 3);
}

void sleep(double seconds, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, std::chrono::duration<double>(seconds), [] { return false; });
}

}  // namespace

double retry_after_seconds(const std::string& header, std::int64_t now_seconds) {
  double seconds = 0;
  const char* end = header.data() + header.size();
  const auto [parsed, error] = std::from_chars(header.data(), end, seconds);
  if (error == std::errc() && parsed == end)
    return std::isfinite(seconds) ? std::max(0.0, seconds) : 0;
  const std::int64_t date = parse_http_date(header);
  return date < 0 ? 0 : std::max(0.0, static_cast<double>(date - now_seconds));
}

std::optional<Refusal> refusal_of(const TransferHead& head) {
  if (head.status < 400 && head.status != 204 && head.status != 304 && head.status >= 200)
    return std::nullopt;
  const std::string text = fmt::format("{}: {}", host_of(head.url), words_of(head.status));
  switch (head.status) {
    case 401:
    case 403:
      return Refusal{Error(ErrorKind::invalid, text), 0};
    case 404:
    case 410:
    case 451:
      return Refusal{Error(ErrorKind::not_found, text), 0};
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return Refusal{Error(ErrorKind::unavailable, text),
                     retry_after_seconds(head.header("retry-after"), std::time(nullptr))};
    default:
      return Refusal{Error(ErrorKind::io, text), 0};
  }
}

Status Retries::wait(const Error& error, double retry_after) {
  if (error.kind() != ErrorKind::unavailable) return error;
  ++failures_;
  if (failures_ >= network_.attempts || ++total_ >= max_total)
    return Error(ErrorKind::unavailable,
                 fmt::format("{} (tried {} times)", error.message(), failures_));
  if (retry_after > max_retry_after_seconds)
    return Error(ErrorKind::unavailable,
                 fmt::format("{}; it asks to come back in {:.0f} minutes: what is here already is "
                             "kept, pull again then",
                             error.message(), std::ceil(retry_after / 60)));
  // Jitter: many clients that failed together do not come back together.
  const double share = static_cast<double>(http::random_u64() >> 11) * 0x1p-53;
  const double backoff = std::min(max_seconds, first_seconds * std::exp2(failures_ - 1));
  const double seconds = std::max(retry_after, backoff * (0.5 + 0.5 * share));
  if (hooks_.remark && seconds >= 1)
    hooks_.remark(fmt::format("{}; again in {:.0f} s", error.message(), std::ceil(seconds)));
  sleep(seconds, hooks_.stop);
  if (hooks_.stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
  return Done{};
}

}  // namespace hearth
