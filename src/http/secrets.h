// The few things of cryptography that more than one floor needs.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hearth::http {

using Sha256 = std::array<std::uint8_t, 32>;
Sha256 sha256(std::string_view bytes);
// Broken, and only for protocols that ask for it by name.
std::array<std::uint8_t, 20> sha1(std::string_view bytes);

// Takes the same time wherever they differ.
bool equal_in_constant_time(const Sha256& a, const Sha256& b);

// Source: RFC 2104.
Sha256 hmac_sha256(std::string_view key, std::string_view bytes);

std::string hex_text(std::span<const std::uint8_t> bytes);  // "09af..."

std::uint64_t random_u64();
// Letters and digits, from the system's own source of chance.
std::string random_letters(std::size_t count);
std::string base64(std::string_view bytes);  // with padding.  Source: RFC 4648, section 4.

}  // namespace hearth::http
