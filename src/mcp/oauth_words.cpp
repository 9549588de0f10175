// What servers and providers say of themselves and of one another, and whether to believe it.
#include <fmt/core.h>

#include <algorithm>

#include "base/ascii.h"
#include "base/utf8.h"
#include "http/message.h"
#include "mcp/content.h"
#include "mcp/oauth.h"
#include "mcp/web.h"

namespace hearth::mcp {
namespace {

std::string without_slash(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  return text;
}

bool is_among(const Json* list, std::string_view wanted) {
  return list && list->is_array() && std::ranges::any_of(list->as_array(), [&](const Json& item) {
           return item.is_string() && item.as_string() == wanted;
         });
}

}  // namespace

// Source: RFC 9110, section 11.6.1; RFC 6750, section 3.  Of several challenges the parameters of
// all are read: only Bearer has these.
Challenge parse_challenge(std::string_view header) {
  Challenge challenge;
  std::size_t at = 0;
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
  };
  while (at < header.size()) {
    const std::size_t begin = at;
    while (at < header.size() && is_word(header[at])) ++at;
    const std::string_view name = header.substr(begin, at - begin);
    if (name.empty() || at >= header.size() || header[at] != '=') {
      ++at;
      continue;
    }
    std::string value;
    if (++at < header.size() && header[at] == '"') {
      for (++at; at < header.size() && header[at] != '"'; ++at) {
        if (header[at] == '\\' && at + 1 < header.size()) ++at;
        value += header[at];
      }
      ++at;
    } else {
      while (at < header.size() && header[at] != ',' && header[at] != ' ') value += header[at++];
    }
    for (const auto& [wanted, to] :
         {std::pair<std::string_view, std::string*>{"resource_metadata", &challenge.metadata_url},
          {"scope", &challenge.scope},
          {"error", &challenge.error}})
      if (equal_ignoring_case(name, wanted) && to->empty()) *to = value;
  }
  return challenge;
}

Status check_address(const std::string& address, const std::string& server_url) {
  const std::string origin = origin_of(address);
  const bool is_here = is_this_machine(address);
  if (origin.starts_with("https://") && (!is_here || is_this_machine(server_url))) return Done{};
  if (origin.starts_with("http://") && is_here && is_this_machine(server_url)) return Done{};
  return Error(ErrorKind::invalid,
               fmt::format("'{}' is not an address to sign in at: https, and of this machine only "
                           "for a server on it",
                           printable(address, 200)));
}

// Source: RFC 9728, section 3.3.  A server may be a part of what its resource names.
Status check_resource(const Json& resource, const std::string& server_url) {
  const std::string named = text_in(resource, "resource");
  const std::string whole = path_of(server_url), part = without_slash(path_of(named));
  const bool is_within =
      whole == part || without_slash(whole) == part || whole.starts_with(part + "/");
  if (!named.empty() && !origin_of(named).empty() && origin_of(named) == origin_of(server_url) &&
      is_within)
    return Done{};
  return Error(ErrorKind::invalid,
               fmt::format("its metadata is of another resource: '{}'", printable(named, 200)));
}

// Source: RFC 8414, sections 2 and 3.3.
Result<Provider> read_provider(const Json& metadata, const std::string& issuer,
                               const std::string& server_url) {
  Provider provider;
  provider.issuer = text_in(metadata, "issuer");
  provider.authorize_url = text_in(metadata, "authorization_endpoint");
  provider.token_url = text_in(metadata, "token_endpoint");
  provider.register_url = text_in(metadata, "registration_endpoint");
  if (without_slash(provider.issuer) != without_slash(issuer))
    return Error(ErrorKind::invalid, fmt::format("{} says that it is '{}'", printable(issuer, 200),
                                                 printable(provider.issuer, 200)));
  if (!is_among(metadata.find("code_challenge_methods_supported"), "S256"))
    return Error(
        ErrorKind::unsupported,
        fmt::format("{} knows no proof of who asked (PKCE with S256)", printable(issuer, 200)));
  TRY(check_address(provider.authorize_url, server_url));
  TRY(check_address(provider.token_url, server_url));
  if (!provider.register_url.empty()) TRY(check_address(provider.register_url, server_url));
  if (const Json* list = metadata.find("token_endpoint_auth_methods_supported");
      list && list->is_array())
    for (const Json& item : list->as_array())
      if (item.is_string()) provider.client_methods.push_back(item.as_string());
  const Json* names = metadata.find("authorization_response_iss_parameter_supported");
  provider.names_itself = names && *names == Json(true);
  return provider;
}

std::vector<std::string> resource_metadata_urls(const std::string& server_url) {
  const std::string base = origin_of(server_url) + "/.well-known/oauth-protected-resource";
  const std::string path = without_slash(path_of(server_url));
  if (path.empty()) return {base};
  return {base + path, base};
}

std::vector<std::string> provider_metadata_urls(const std::string& issuer) {
  const std::string origin = origin_of(issuer), path = without_slash(path_of(issuer));
  std::vector<std::string> urls = {origin + "/.well-known/oauth-authorization-server" + path,
                                   origin + "/.well-known/openid-configuration" + path};
  if (!path.empty()) urls.push_back(origin + path + "/.well-known/openid-configuration");
  return urls;
}

}  // namespace hearth::mcp
