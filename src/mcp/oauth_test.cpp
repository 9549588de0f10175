#include "mcp/oauth.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "mcp/web.h"

using namespace hearth;
using namespace hearth::mcp;

namespace {

Json text_list(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(text);
  return list;
}

Json provider_json(const std::string& issuer, const std::string& token_url) {
  return Json::object({{"issuer", issuer},
                       {"authorization_endpoint", issuer + "/authorize"},
                       {"token_endpoint", token_url},
                       {"code_challenge_methods_supported", text_list({"plain", "S256"})}});
}

}  // namespace

TEST_CASE("challenges are read in every form, and what is none says nothing") {
  const struct {
    std::string header, metadata_url, scope, error;
  } rows[] = {
      {"", "", "", ""},
      {"Bearer", "", "", ""},
      {R"(Bearer resource_metadata="https://a.example/m", scope="files:read files:write")",
       "https://a.example/m", "files:read files:write", ""},
      {R"(Bearer error="invalid_token", error_description="a \"b\", scope=c", resource_metadata=https://a.example/m)",
       "https://a.example/m", "", "invalid_token"},
      {R"(Basic realm="x", Bearer error=insufficient_scope scope=mcp)", "", "mcp",
       "insufficient_scope"},
      {R"(Bearer scope="never closed)", "", "never closed", ""},
      {"=,=\"\"=", "", "", ""},
      {R"(Bearer scope="first", scope="second")", "", "first", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.header);
    const Challenge challenge = parse_challenge(row.header);
    CHECK(challenge.metadata_url == row.metadata_url);
    CHECK(challenge.scope == row.scope);
    CHECK(challenge.error == row.error);
  }
}

TEST_CASE("addresses to sign in at are https, or of this machine for a server on it") {
  const struct {
    std::string address, server;
    bool is_good;
  } rows[] = {
      {"https://id.example/authorize", "https://mcp.example/mcp", true},
      {"https://id.example:8443", "https://mcp.example/mcp", true},
      {"http://id.example/authorize", "https://mcp.example/mcp", false},
      {"http://127.0.0.1:3000/authorize", "http://127.0.0.1:4000/mcp", true},
      {"http://localhost:3000", "http://127.0.0.1:4000/mcp", true},
      {"http://[::1]:3000/a", "http://localhost/mcp", true},
      {"http://127.0.0.1:3000/authorize", "https://mcp.example/mcp", false},
      {"https://localhost/authorize", "https://mcp.example/mcp", false},
      {"http://127.0.0.1.evil.example/", "http://127.0.0.1:4000/mcp", false},
      {"http://localhost@evil.example/", "http://127.0.0.1:4000/mcp", false},
      {"http://mcp.example/mcp", "http://mcp.example/mcp", false},
      {"file:///etc/passwd", "http://127.0.0.1/", false},
      {"javascript:alert(1)", "http://127.0.0.1/", false},
      {"", "http://127.0.0.1/", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.address);
    CAPTURE(row.server);
    CHECK(check_address(row.address, row.server).ok() == row.is_good);
  }
}

TEST_CASE("metadata counts for the resource that it names") {
  const struct {
    std::string resource, server;
    bool is_good;
  } rows[] = {
      {"https://a.example/mcp", "https://a.example/mcp", true},
      {"https://A.example:443/mcp/", "https://a.example/mcp", true},
      {"https://a.example", "https://a.example/mcp", true},
      {"https://a.example/mcp", "https://a.example/mcp/one", true},
      {"https://a.example/mcp", "https://a.example/mcpone", false},
      {"https://a.example/other", "https://a.example/mcp", false},
      {"https://b.example/mcp", "https://a.example/mcp", false},
      {"http://a.example/mcp", "https://a.example/mcp", false},
      {"", "https://a.example/mcp", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.resource);
    CHECK(check_resource(Json::object({{"resource", row.resource}}), row.server).ok() ==
          row.is_good);
  }
  CHECK_FALSE(check_resource(Json::object(), "https://a.example").ok());
}

TEST_CASE("a provider is who it was said to be, proves who asks, and sends nobody elsewhere") {
  const std::string server = "https://mcp.example/mcp", issuer = "https://id.example/tenant";
  CHECK(read_provider(provider_json(issuer, issuer + "/token"), issuer, server));
  CHECK(read_provider(provider_json(issuer + "/", issuer + "/token"), issuer, server));
  CHECK_FALSE(
      read_provider(provider_json("https://evil.example", issuer + "/token"), issuer, server));
  CHECK_FALSE(read_provider(provider_json(issuer, "http://id.example/token"), issuer, server));
  CHECK_FALSE(read_provider(provider_json(issuer, "http://127.0.0.1:22/"), issuer, server));
  Json weak = provider_json(issuer, issuer + "/token");
  weak.set("code_challenge_methods_supported", text_list({"plain"}));
  CHECK_FALSE(read_provider(weak, issuer, server));
  CHECK_FALSE(read_provider(Json::object(), issuer, server));
}

TEST_CASE("where metadata is looked for") {
  using List = std::vector<std::string>;
  CHECK(resource_metadata_urls("https://a.example/one/mcp") ==
        List{"https://a.example/.well-known/oauth-protected-resource/one/mcp",
             "https://a.example/.well-known/oauth-protected-resource"});
  CHECK(resource_metadata_urls("https://a.example") ==
        List{"https://a.example/.well-known/oauth-protected-resource"});
  CHECK(provider_metadata_urls("https://a.example/t/") ==
        List{"https://a.example/.well-known/oauth-authorization-server/t",
             "https://a.example/.well-known/openid-configuration/t",
             "https://a.example/t/.well-known/openid-configuration"});
  CHECK(provider_metadata_urls("https://a.example") ==
        List{"https://a.example/.well-known/oauth-authorization-server",
             "https://a.example/.well-known/openid-configuration"});
  CHECK(query_of({{"a b", "c&d=e"}, {"x", "https://y/z?é"}}) ==
        "a%20b=c%26d%3De&x=https%3A%2F%2Fy%2Fz%3F%C3%A9");
}

TEST_CASE("grants are for one server at one address, and for nobody else's eyes") {
  const std::string folder =
      (std::filesystem::temp_directory_path() / ("hearth-grants-" + std::to_string(::getpid())))
          .string();
  std::filesystem::remove_all(folder);
  const std::string path = folder + "/grants.json";
  Grants grants(path);
  CHECK_FALSE(grants.find("wiki", "https://a.example/mcp").value());
  CHECK_FALSE(grants.forget("wiki").value());
  const Grant grant{.url = "https://a.example/mcp",
                    .issuer = "https://id.example",
                    .token_url = "https://id.example/token",
                    .client_id = "c",
                    .client_secret = "s",
                    .client_method = "client_secret_basic",
                    .access_token = "abc",
                    .refresh_token = "def",
                    .scope = "x y",
                    .resource = "https://a.example/mcp",
                    .expires_at = 1};
  REQUIRE(grants.keep("wiki", grant).ok());
  REQUIRE(grants.keep("other", grant).ok());
  struct stat facts{};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
  const auto found = grants.find("wiki", "https://a.example/mcp");
  REQUIRE(found);
  REQUIRE(*found);
  CHECK((*found)->refresh_token == "def");
  CHECK((*found)->client_method == "client_secret_basic");
  CHECK(has_expired(**found));
  CHECK_FALSE(grants.find("wiki", "https://b.example/mcp").value());
  CHECK(grants.forget("wiki").value());
  CHECK_FALSE(grants.find("wiki", "https://a.example/mcp").value());
  CHECK(grants.find("other", "https://a.example/mcp").value());
  ::chmod(path.c_str(), 0644);
  CHECK_FALSE(grants.find("other", "https://a.example/mcp"));
  CHECK_FALSE(grants.keep("wiki", grant).ok());
  std::filesystem::remove_all(folder);
}
