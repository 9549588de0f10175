#include "http/guard.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/ascii.h"

namespace hearth::http {
namespace {

bool is_host_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}
bool is_address_byte(char c) {
  return (c >= 'a' && c <= 'f') || (c >= '0' && c <= '9') || c == ':' || c == '.';
}

bool is_token_byte(char c) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         marks.find(c) != std::string_view::npos;
}

Error bad_host(std::string_view text) {
  return Error(ErrorKind::invalid, fmt::format("'{}' is not a host name", text));
}

Problem forbidden(std::string_view what) {
  return {403, "forbidden", fmt::format("{}", what), "", 0};
}

// The header names a preflight asks for, if each is one; else nothing.
std::string names_to_allow(const std::string* requested) {
  constexpr std::size_t max_bytes = 2048;
  if (!requested || requested->size() > max_bytes) return "";
  const bool clean = std::all_of(requested->begin(), requested->end(),
                                 [](char c) { return is_token_byte(c) || c == ',' || c == ' '; });
  return clean ? *requested : "";
}

Response preflight_answer(const Request& request) {
  Response response{204, {}, ""};
  response.headers.push_back(
      {"Access-Control-Allow-Methods", "GET, HEAD, POST, PATCH, DELETE, OPTIONS"});
  const std::string names = names_to_allow(request.header("Access-Control-Request-Headers"));
  if (!names.empty()) response.headers.push_back({"Access-Control-Allow-Headers", names});
  response.headers.push_back({"Access-Control-Max-Age", "600"});
  const std::string* network = request.header("Access-Control-Request-Private-Network");
  if (network && *network == "true")
    response.headers.push_back({"Access-Control-Allow-Private-Network", "true"});
  return response;
}

}  // namespace

Result<HostPort> parse_host(std::string_view text) {
  const std::string lower = ascii_lower(text);
  const std::string_view whole = lower;
  std::size_t end;
  if (whole.starts_with('[')) {
    end = whole.find(']');
    if (end == std::string_view::npos || end == 1) return bad_host(text);
    const std::string_view inside = whole.substr(1, end - 1);
    if (!std::all_of(inside.begin(), inside.end(), is_address_byte)) return bad_host(text);
    ++end;
  } else {
    end = std::min(whole.find(':'), whole.size());
    const std::string_view name = whole.substr(0, end);
    if (name.empty() || !std::all_of(name.begin(), name.end(), is_host_byte)) return bad_host(text);
  }
  HostPort result{std::string(whole.substr(0, end)), -1};
  if (end == whole.size()) return result;
  const std::string_view digits = whole.substr(end + 1);
  const auto [last, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), result.port);
  if (whole[end] != ':' || digits.empty() || digits[0] == '-' || error != std::errc() ||
      last != digits.data() + digits.size() || result.port > 65535)
    return bad_host(text);
  return result;
}

Result<Origin> parse_origin(std::string_view text) {
  const std::size_t mark = text.find("://");
  const std::string_view scheme = text.substr(0, mark);
  if (mark == std::string_view::npos || (scheme != "http" && scheme != "https"))
    return Error(ErrorKind::invalid,
                 fmt::format("'{}' is not an origin, such as https://name:port", text));
  Origin origin;
  origin.scheme = scheme;
  origin.place = TRY(parse_host(text.substr(mark + 3)));
  if (origin.place.port < 0) origin.place.port = scheme == "https" ? 443 : 80;
  return origin;
}

Result<Guard> Guard::create(const std::vector<std::string>& hosts,
                            const std::vector<std::string>& origins) {
  Guard guard;
  for (const std::string& text : hosts) {
    HostPort host = TRY(parse_host(text));
    guard.hosts_.push_back(std::move(host.host));
  }
  for (const std::string& text : origins) guard.origins_.push_back(TRY(parse_origin(text)));
  return guard;
}

bool Guard::is_allowed_host(const HostPort& host, std::string_view local_address) const {
  if (host.host == "localhost" || host.host == "127.0.0.1" || host.host == "[::1]") return true;
  // A page cannot make a browser send our own address as Host unless it was opened by that
  // address, so it is no way in for a rebound name.
  if (host.host == local_address || host.host == fmt::format("[{}]", local_address)) return true;
  return std::find(hosts_.begin(), hosts_.end(), host.host) != hosts_.end();
}

bool Guard::is_listed_origin(const std::string& text) const {
  const auto origin = parse_origin(text);
  return origin && std::find(origins_.begin(), origins_.end(), *origin) != origins_.end();
}

std::optional<Response> Guard::check(const Request& request, std::string_view local_address) const {
  if (count_headers(request.headers, "Host") != 1)
    return error_response({400, "bad_request", "the request needs one Host header", "", 0});
  const auto host = parse_host(*request.header("Host"));
  if (!host || !is_allowed_host(*host, local_address))
    return error_response(forbidden("this Host is not served; allow it with server.allow_host"));

  const std::size_t origins = count_headers(request.headers, "Origin");
  if (origins > 1) return error_response(forbidden("the request has two Origin headers"));
  bool is_listed = false;
  if (origins == 1) {
    const std::string& text = *request.header("Origin");
    is_listed = is_listed_origin(text);
    const auto origin = parse_origin(text);
    const std::string scheme = request.is_tls ? "https" : "http";
    HostPort self = *host;
    if (self.port < 0) self.port = request.is_tls ? 443 : 80;
    if (!is_listed && !(origin && *origin == Origin{scheme, self}))
      return error_response(
          forbidden("this Origin is not allowed; allow it with server.allow_origin"));
  }
  const std::string* site = request.header("Sec-Fetch-Site");
  const std::string* mode = request.header("Sec-Fetch-Mode");
  const bool is_landing = mode && *mode == "navigate" && request.method == "GET" && origins == 0 &&
                          request.path == landing_path_;
  if (site && !is_listed && !is_landing && *site != "same-origin" && *site != "same-site" &&
      *site != "none")
    return error_response(forbidden("requests from other sites are not allowed"));

  if (is_listed && request.method == "OPTIONS" && request.header("Access-Control-Request-Method"))
    return preflight_answer(request);
  return std::nullopt;
}

Headers Guard::answer_headers(const Request& request) const {
  Headers headers;
  if (origins_.empty()) return headers;
  headers.push_back({"Vary", "Origin"});
  const std::string* origin = request.header("Origin");
  if (!origin || !is_listed_origin(*origin)) return headers;
  headers.push_back({"Access-Control-Allow-Origin", *origin});
  headers.push_back(
      {"Access-Control-Expose-Headers", "x-request-id, x-hearth-max-tokens, retry-after"});
  return headers;
}

}  // namespace hearth::http
