// The guard at the door: which Host and Origin a request may name.  It defeats DNS rebinding and
// requests that a web page sends behind its user's back.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace hearth::http {

// "name", "name:port", "1.2.3.4:port" or "[v6]:port"; lower case; no trailing dot is taken off.
struct HostPort {
  std::string host;  // an IPv6 address keeps its brackets
  int port = -1;     // -1: none given
  bool operator==(const HostPort&) const = default;
};
Result<HostPort> parse_host(std::string_view text);

// A browser's name for where a page came from: "https://site:port", nothing after it.
struct Origin {
  std::string scheme;
  HostPort place;  // the scheme's own port is filled in
  bool operator==(const Origin&) const = default;
};
Result<Origin> parse_origin(std::string_view text);

// Thread-safe once it is set up.
class Guard {
 public:
  // Beside localhost, 127.0.0.1, [::1] and the address a connection came in on, `hosts` are let in;
  // beside pages of this server itself, pages from `origins`.
  static Result<Guard> create(const std::vector<std::string>& hosts,
                              const std::vector<std::string>& origins);

  // A page of any site may lead a browser there, by a link or a redirect.
  void set_landing_path(std::string path) { landing_path_ = std::move(path); }

  // The answer that ends the request here: a refusal (403, 400) or the reply to a CORS preflight.
  // `local_address` is this end of the connection.
  std::optional<Response> check(const Request& request, std::string_view local_address) const;

  // Headers that every answer to `request`, which has passed check(), must carry.
  Headers answer_headers(const Request& request) const;

 private:
  bool is_allowed_host(const HostPort& host, std::string_view local_address) const;
  bool is_listed_origin(const std::string& text) const;

  std::vector<std::string> hosts_;
  std::vector<Origin> origins_;
  std::string landing_path_;
};

}  // namespace hearth::http
