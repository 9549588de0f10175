// Which addresses of the Internet Protocol belong to everybody's network.
#pragma once

#include <cstdint>
#include <span>

namespace hearth {

// `address`: 4 or 16 bytes.  False: this machine, a private or local network, a group of machines,
// or an address for no use.  Source: IANA, "IPv4 and IPv6 Special-Purpose Address Registry".
bool is_public_address(std::span<const std::uint8_t> address);

}  // namespace hearth
