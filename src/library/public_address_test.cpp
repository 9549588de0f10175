#include "library/public_address.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <array>
#include <string>

using namespace hearth;

TEST_CASE("addresses of everybody's network, and all others") {
  const struct {
    std::string address;
    bool is_public;
  } rows[] = {
      {"8.8.8.8", true},
      {"1.1.1.1", true},
      {"11.0.0.0", true},
      {"100.63.255.255", true},
      {"100.128.0.0", true},
      {"172.15.255.255", true},
      {"172.32.0.0", true},
      {"223.255.255.255", true},
      {"0.0.0.0", false},
      {"10.255.255.255", false},
      {"100.64.0.1", false},
      {"127.0.0.1", false},
      {"127.255.255.255", false},
      {"169.254.169.254", false},
      {"172.16.0.1", false},
      {"172.31.255.255", false},
      {"192.168.1.1", false},
      {"198.19.0.1", false},
      {"224.0.0.1", false},
      {"255.255.255.255", false},
      {"2606:4700::1111", true},
      {"::ffff:8.8.8.8", true},
      {"64:ff9b::8.8.8.8", true},
      {"2002:808:808::1", true},
      {"::", false},
      {"::1", false},
      {"::ffff:127.0.0.1", false},
      {"::ffff:10.0.0.1", false},
      {"64:ff9b::10.0.0.1", false},
      {"2002:7f00:1::", false},
      {"2001:db8::1", false},
      {"2001:0:1::", false},
      {"fc00::1", false},
      {"fd12::1", false},
      {"fe80::1", false},
      {"ff02::1", false},
      {"4000::1", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.address);
    std::array<std::uint8_t, 16> bytes{};
    const bool is_v6 = row.address.contains(':');
    REQUIRE(::inet_pton(is_v6 ? AF_INET6 : AF_INET, row.address.c_str(), bytes.data()) == 1);
    CHECK(is_public_address(std::span(bytes).first(is_v6 ? 16 : 4)) == row.is_public);
  }
  CHECK(!is_public_address({}));
}
