// OAuth for servers of the Model Context Protocol: who may let us in is found from the server
// itself, a person agrees in a browser, and what that leads to is renewed as long as it can be.
// Everything that the servers say of one another is a stranger's word: addresses are https or this
// machine, a server elsewhere may not send us to this machine, and names must be what was asked
// for. Source: Model Context Protocol, revision 2025-11-25, "Authorization"; RFC 6749, 7591, 7636,
// 8252, 8414, 8707, 9207, 9728.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "mcp/grants.h"
#include "mcp/settings.h"

namespace hearth::mcp {

// What a refusal says in WWW-Authenticate.
struct Challenge {
  std::string metadata_url, scope, error;  // "": not said
};
Challenge parse_challenge(std::string_view header);

struct SignIn {
  std::string scope;              // "": what the server asks for
  std::string client_id, secret;  // of a client that is registered already; "": we register
  std::uint16_t port = 0;         // of the redirect; 0: any free one
  std::function<void(const std::string& address)> open;  // shows the person the address
};

// Waits for the person until `stop`.  Errors: unsupported (the server knows no way in that we do),
// invalid (what it says does not hold together), unavailable, cancelled; refused by the person:
// invalid.
Result<Grant> sign_in(const ServerSettings& server, const SignIn& how, const std::stop_token& stop);

// A grant that is newer than `old`: of the file, where another process had it renewed, or asked
// for. Errors: not_found: it cannot be renewed, a person must sign in again; unavailable, io,
// cancelled.
Result<Grant> renew(const ServerSettings& server, const Grant& old, const std::stop_token& stop);

bool has_expired(const Grant& grant);

// Parts, for tests.
struct Provider {
  std::string issuer, authorize_url, token_url, register_url, scope, resource;
  std::vector<std::string> client_methods;
  bool names_itself = false;  // in redirects
};
// `resource`: RFC 9728's metadata of `server_url`; `provider`: RFC 8414's of `issuer`.
Status check_resource(const Json& resource, const std::string& server_url);
Result<Provider> read_provider(const Json& provider, const std::string& issuer,
                               const std::string& server_url);
// https, or http to this machine where the server is this machine too.
Status check_address(const std::string& address, const std::string& server_url);
std::vector<std::string> resource_metadata_urls(const std::string& server_url);
std::vector<std::string> provider_metadata_urls(const std::string& issuer);

}  // namespace hearth::mcp
