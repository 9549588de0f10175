#include "mcp/oauth.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "base/ascii.h"
#include "base/utf8.h"
#include "http/message.h"
#include "http/secrets.h"
#include "mcp/content.h"
#include "mcp/redirect.h"
#include "mcp/web.h"

namespace hearth::mcp {
namespace {

constexpr std::int64_t renew_before_seconds = 30;
constexpr std::size_t verifier_letters = 64, state_letters = 32, max_text_bytes = 8 << 10;

std::int64_t now_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string without_slash(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  return text;
}

// Source: RFC 4648, section 5, without padding.
std::string base64_for_addresses(std::string_view bytes) {
  std::string text = http::base64(bytes);
  while (text.ends_with('=')) text.pop_back();
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  return text;
}

Error refusal(std::string_view who, const WebAnswer& answer) {
  const std::string error = text_in(answer.json, "error");
  const std::string details = text_in(answer.json, "error_description");
  return Error(ErrorKind::invalid,
               fmt::format("{} answers {}{}{}{}{}", printable(who, 200), answer.status,
                           error.empty() ? "" : ": ", printable(error, 100),
                           details.empty() ? "" : ", ", printable(details, 300)));
}

std::vector<std::string> texts_in(const Json& json, std::string_view name) {
  std::vector<std::string> texts;
  const Json* list = json.find(name);
  if (!list || !list->is_array()) return texts;
  for (const Json& item : list->as_array())
    if (item.is_string() && texts.size() < 64) texts.push_back(item.as_string());
  return texts;
}

Json list_of(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(text);
  return list;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : " ") + text;
  return all;
}

// The first of these addresses at which there is an object.
Result<std::optional<Json>> first_object(const std::vector<std::string>& urls,
                                         const std::stop_token& stop) {
  for (const std::string& url : urls) {
    WebAnswer answer = TRY(fetch(url, stop));
    if (answer.status == 200 && answer.json.is_object())
      return std::optional(std::move(answer.json));
  }
  return std::optional<Json>();
}

// Servers of before RFC 9728 are their own providers, at fixed paths.
Provider oldest_provider(const std::string& origin) {
  Provider provider;
  provider.issuer = origin;
  provider.authorize_url = origin + "/authorize";
  provider.token_url = origin + "/token";
  provider.register_url = origin + "/register";
  return provider;
}

Result<Provider> discover(const ServerSettings& server, const std::stop_token& stop) {
  const Json hello = Json::object(
      {{"jsonrpc", "2.0"},
       {"id", 1},
       {"method", "initialize"},
       {"params", Json::object({{"protocolVersion", "2025-11-25"},
                                {"capabilities", Json::object()},
                                {"clientInfo", Json::object({{"name", "hearth"},
                                                             {"version", HEARTH_VERSION}})}})}});
  TRY(check_address(server.url, server.url));
  const WebAnswer first = TRY(post_json(server.url, hello, stop));
  const Challenge challenge = parse_challenge(first.challenge);
  std::vector<std::string> urls = resource_metadata_urls(server.url);
  if (!challenge.metadata_url.empty()) {
    if (origin_of(challenge.metadata_url) != origin_of(server.url))
      return Error(ErrorKind::invalid,
                   fmt::format("it says that {} speaks for it, which is another server",
                               printable(challenge.metadata_url, 200)));
    urls = {challenge.metadata_url};
  }
  const auto resource = TRY(first_object(urls, stop));
  if (!resource && first.status < 400)
    return Error(ErrorKind::unsupported, "it lets everybody in: there is nothing to sign in to");
  std::string issuer = origin_of(server.url), scope = challenge.scope;
  if (resource) {
    TRY(check_resource(*resource, server.url));
    const std::vector<std::string> issuers = texts_in(*resource, "authorization_servers");
    if (!issuers.empty()) issuer = issuers.front();
    if (scope.empty()) scope = joined(texts_in(*resource, "scopes_supported"));
  }
  TRY(check_address(issuer, server.url));
  const auto metadata = TRY(first_object(provider_metadata_urls(issuer), stop));
  if (!metadata && resource)
    return Error(ErrorKind::unsupported,
                 fmt::format("{} tells nothing of how to sign in", printable(issuer, 200)));
  Provider provider = metadata ? TRY(read_provider(*metadata, issuer, server.url))
                               : oldest_provider(without_slash(issuer));
  provider.scope = scope;
  provider.resource = resource ? text_in(*resource, "resource") : server.url;
  return provider;
}

struct ClientName {
  std::string id, secret, method;
};

// Source: RFC 7591, section 3.
Result<ClientName> register_client(const Provider& provider, const std::string& redirect,
                                   const std::stop_token& stop) {
  if (provider.register_url.empty())
    return Error(ErrorKind::unsupported,
                 fmt::format("{} registers no clients by itself: register one with the redirect "
                             "{} and name it with --client-id",
                             printable(provider.issuer, 200), redirect));
  Json body = Json::object({{"client_name", "Hearth"},
                            {"redirect_uris", list_of({redirect})},
                            {"grant_types", list_of({"authorization_code", "refresh_token"})},
                            {"response_types", list_of({"code"})},
                            {"token_endpoint_auth_method", "none"}});
  if (!provider.scope.empty()) body.set("scope", provider.scope);
  const WebAnswer answer = TRY(post_json(provider.register_url, body, stop));
  ClientName client{text_in(answer.json, "client_id"), text_in(answer.json, "client_secret"),
                    text_in(answer.json, "token_endpoint_auth_method")};
  if (answer.status >= 300 || client.id.empty() || client.id.size() > max_text_bytes)
    return refusal(provider.register_url, answer);
  return client;
}

// How a client with a secret shows it.  Source: RFC 6749, section 2.3.1.
std::string method_of(const ClientName& client, const Provider& provider) {
  if (client.secret.empty()) return "none";
  if (client.method == "client_secret_basic" || client.method == "client_secret_post")
    return client.method;
  const auto& known = provider.client_methods;
  const bool has_post = std::ranges::find(known, "client_secret_post") != known.end();
  const bool has_basic = std::ranges::find(known, "client_secret_basic") != known.end();
  return has_post && !has_basic ? "client_secret_post" : "client_secret_basic";
}

Result<Grant> ask_for_tokens(Grant grant, Form form, const std::stop_token& stop) {
  std::string authorization;
  if (grant.client_method == "client_secret_basic") {
    authorization = "Basic " + http::base64(form_encoded(grant.client_id) + ":" +
                                            form_encoded(grant.client_secret));
  } else {
    form.emplace_back("client_id", grant.client_id);
    if (grant.client_method == "client_secret_post")
      form.emplace_back("client_secret", grant.client_secret);
  }
  const WebAnswer answer = TRY(post_form(grant.token_url, form, authorization, stop));
  const std::string token = text_in(answer.json, "access_token");
  const bool is_plain = std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7f; });
  if (answer.status != 200 || token.empty() || token.size() > max_text_bytes || !is_plain)
    return refusal(grant.token_url, answer);
  if (!equal_ignoring_case(text_in(answer.json, "token_type"), "bearer"))
    return Error(ErrorKind::unsupported, fmt::format("{} gives tokens of a kind unknown here",
                                                     printable(grant.token_url, 200)));
  grant.access_token = token;
  // Without a new one the old one stays.  Source: RFC 6749, section 6.
  if (const std::string next = text_in(answer.json, "refresh_token"); !next.empty())
    grant.refresh_token = next;
  if (const std::string scope = text_in(answer.json, "scope"); !scope.empty()) grant.scope = scope;
  const Json* seconds = answer.json.find("expires_in");
  grant.expires_at = seconds && seconds->is_integer() && seconds->as_integer() > 0
                         ? now_seconds() + seconds->as_integer()
                         : 0;
  return grant;
}

}  // namespace

bool has_expired(const Grant& grant) {
  return grant.expires_at != 0 && now_seconds() + renew_before_seconds >= grant.expires_at;
}

Result<Grant> sign_in(const ServerSettings& server, const SignIn& how,
                      const std::stop_token& stop) {
  Provider provider = TRY(discover(server, stop));
  if (!how.scope.empty()) provider.scope = how.scope;
  const std::string state = http::random_letters(state_letters);
  const auto redirect = TRY(RedirectListener::open(how.port, state));
  ClientName client{how.client_id, how.secret, ""};
  if (client.id.empty()) client = TRY(register_client(provider, redirect->address(), stop));
  const std::string verifier = http::random_letters(verifier_letters);
  const http::Sha256 digest = http::sha256(verifier);
  Form query = {{"response_type", "code"},
                {"client_id", client.id},
                {"redirect_uri", redirect->address()},
                {"state", state},
                {"code_challenge",
                 base64_for_addresses({reinterpret_cast<const char*>(&digest), digest.size()})},
                {"code_challenge_method", "S256"},
                {"resource", provider.resource}};
  if (!provider.scope.empty()) query.emplace_back("scope", provider.scope);
  const bool has_query = provider.authorize_url.find('?') != std::string::npos;
  how.open(provider.authorize_url + (has_query ? "&" : "?") + query_of(query));

  const Redirected answer = TRY(redirect->wait(stop));
  // Source: RFC 9207, section 2.4.
  if (answer.issuer.empty() ? provider.names_itself
                            : without_slash(answer.issuer) != without_slash(provider.issuer))
    return Error(ErrorKind::invalid, "the answer in the browser is not of whom was asked");
  if (!answer.error.empty() || answer.code.empty())
    return Error(ErrorKind::invalid,
                 fmt::format("signing in was refused: {} {}", printable(answer.error, 100),
                             printable(answer.description, 300)));
  return ask_for_tokens({.url = server.url,
                         .issuer = provider.issuer,
                         .token_url = provider.token_url,
                         .client_id = client.id,
                         .client_secret = client.secret,
                         .client_method = method_of(client, provider),
                         .access_token = "",
                         .refresh_token = "",
                         .scope = provider.scope,
                         .resource = provider.resource},
                        {{"grant_type", "authorization_code"},
                         {"code", answer.code},
                         {"redirect_uri", redirect->address()},
                         {"code_verifier", verifier},
                         {"resource", provider.resource}},
                        stop);
}

Result<Grant> renew(const ServerSettings& server, const Grant& old, const std::stop_token& stop) {
  Grants grants(server.grants);
  const auto is_newer = [&](const std::optional<Grant>& grant) {
    return grant && grant->access_token != old.access_token && !has_expired(*grant);
  };
  if (const auto now = TRY(grants.find(server.name, server.url)); is_newer(now)) return *now;
  if (old.refresh_token.empty()) return Error(ErrorKind::not_found, "it cannot be renewed");
  TRY(check_address(old.token_url, server.url));
  auto grant = ask_for_tokens(old,
                              {{"grant_type", "refresh_token"},
                               {"refresh_token", old.refresh_token},
                               {"resource", old.resource}},
                              stop);
  if (grant) {
    TRY(grants.keep(server.name, *grant));
    return grant;
  }
  // A refresh token may be good for one use, which another process has just made of it.
  if (const auto now = TRY(grants.find(server.name, server.url)); is_newer(now)) return *now;
  if (grant.error().kind() != ErrorKind::invalid) return grant.error();
  return Error(ErrorKind::not_found, grant.error().message());
}

}  // namespace hearth::mcp
