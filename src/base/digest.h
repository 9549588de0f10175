// SHA-256, and bytes as digits.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace hearth {

using Sha256 = std::array<std::uint8_t, 32>;
Sha256 sha256(std::span<const std::byte> bytes);
Sha256 sha256(std::string_view bytes);

// Of bytes that come in pieces.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;

  void restart();
  void add(std::span<const std::byte> bytes);
  Sha256 finish();  // only restart() may follow

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string hex_text(std::span<const std::uint8_t> bytes);  // "09af..."
// Lower-case digits, two for each byte of `bytes`; false: the text is something else.
bool parse_hex(std::string_view text, std::span<std::uint8_t> bytes);

}  // namespace hearth
