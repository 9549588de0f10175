#include "server/keys.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"

namespace hearth::server {
namespace {

constexpr std::uint64_t max_file_bytes = 1 << 20;
constexpr std::size_t min_key_bytes = 16, max_key_bytes = 512;
constexpr std::size_t max_keys = 4096;
constexpr std::string_view blank = " \t\r";

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(blank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(blank));
  line.remove_prefix(word.size());
  return word;
}

int hex_digit(char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  const std::size_t place = digits.find(c);
  return place == std::string_view::npos ? -1 : static_cast<int>(place);
}

std::optional<http::Sha256> parse_digest(std::string_view hex) {
  http::Sha256 digest;
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return digest;
}

std::optional<std::uint8_t> parse_scopes(std::string_view text) {
  constexpr auto all = static_cast<std::uint8_t>(Scope::infer) | std::uint8_t(Scope::metrics) |
                       std::uint8_t(Scope::manage);
  if (text.empty()) return all;
  unsigned scopes = 0;
  while (!text.empty()) {
    const std::string_view name = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), name.size() + 1));
    if (name == "infer")
      scopes |= static_cast<unsigned>(Scope::infer);
    else if (name == "metrics")
      scopes |= static_cast<unsigned>(Scope::metrics);
    else if (name == "manage")
      scopes |= static_cast<unsigned>(Scope::manage);
    else
      return std::nullopt;
  }
  return static_cast<std::uint8_t>(scopes);
}

// The key that a request carries; "" when it carries none.  nullopt: two that differ.
std::optional<std::string> presented_key(const http::Headers& headers) {
  if (http::count_headers(headers, "Authorization") > 1 ||
      http::count_headers(headers, "x-api-key") > 1)
    return std::nullopt;
  std::string bearer, plain;
  if (const std::string* value = http::find_header(headers, "Authorization")) {
    std::string_view rest = *value;
    if (http::equal_ignoring_case(next_word(rest), "bearer")) bearer = next_word(rest);
  }
  if (const std::string* value = http::find_header(headers, "x-api-key")) plain = *value;
  if (!bearer.empty() && !plain.empty() && bearer != plain) return std::nullopt;
  return bearer.empty() ? plain : bearer;
}

}  // namespace

Result<KeyRing> KeyRing::load(const std::string& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  using std::filesystem::perms;
  constexpr perms others = perms::group_all | perms::others_all;
  if (!error && (status.permissions() & others) != perms::none)
    return Error(
        ErrorKind::invalid,
        fmt::format("server.api_key_file = '{}': others may read it; needs mode 0600", file));
  const std::string text = TRY(read_file(file, max_file_bytes));
  auto ring = parse(text);
  if (!ring) return std::move(ring).error().within(file);
  return ring;
}

Result<KeyRing> KeyRing::parse(std::string_view text) {
  KeyRing ring;
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    line = line.substr(0, line.find('#'));
    const std::string_view word = next_word(line);
    if (word.empty()) continue;
    const auto scopes = parse_scopes(next_word(line));
    const bool is_digest = word.starts_with("sha256:");
    const auto digest = is_digest ? parse_digest(word.substr(7)) : http::sha256(word);
    if (!digest || !scopes || !next_word(line).empty())
      return Error(ErrorKind::invalid,
                   fmt::format("line {}: needs a key or sha256:DIGEST, then scopes", number));
    if (!is_digest && (word.size() < min_key_bytes || word.size() > max_key_bytes))
      return Error(ErrorKind::invalid,
                   fmt::format("line {}: a key of {} characters: needs {} to {}", number,
                               word.size(), min_key_bytes, max_key_bytes));
    if (ring.keys_.size() == max_keys)
      return Error(ErrorKind::invalid, fmt::format("more than {} keys", max_keys));
    ring.keys_.push_back({*digest, *scopes});
  }
  if (ring.keys_.empty()) return Error(ErrorKind::invalid, "holds no key");
  return ring;
}

KeyRing::Verdict KeyRing::check(const http::Headers& headers, Scope scope) const {
  if (keys_.empty() || scope == Scope::none) return {};
  const auto presented = presented_key(headers);
  if (!presented) return {{}, "the request carries two different API keys", 401};
  if (presented->empty())
    return {{}, "an API key is needed: Authorization: Bearer KEY, or x-api-key: KEY", 401};
  const http::Sha256 digest =
      http::sha256(presented->size() <= max_key_bytes ? *presented : std::string());
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (http::equal_in_constant_time(keys_[i].digest, digest)) found = i;
  if (!found) return {{}, "this API key is not known here", 401};
  if ((keys_[*found].scopes & static_cast<std::uint8_t>(scope)) == 0)
    return {{}, "this API key may not be used for this", 403};
  return {found, nullptr, 0};
}

std::string KeyRing::label(std::size_t key) const { return fmt::format("key-{}", key); }

}  // namespace hearth::server
