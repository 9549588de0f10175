// Small requests of OAuth: forms and JSON out, JSON back, all bounded.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace hearth::mcp {

struct WebAnswer {
  int status = 0;
  Json json;              // null: the body is no JSON object
  std::string challenge;  // WWW-Authenticate
};

// What an address says counts for its own origin: an answer that a redirect to another one led to
// is refused.  Errors: those of transfer(); exhausted: over 256 KB; invalid: such an answer.
Result<WebAnswer> fetch(const std::string& url, const std::stop_token& stop);
Result<WebAnswer> post_json(const std::string& url, const Json& body, const std::stop_token& stop);

using Form = std::vector<std::pair<std::string, std::string>>;
// `authorization`: a header's value, or "".
Result<WebAnswer> post_form(const std::string& url, const Form& form,
                            const std::string& authorization, const std::stop_token& stop);

std::string form_encoded(std::string_view text);  // letters, digits, "-._~"; the others as %XX
std::string query_of(const Form& form);

// "/a/b" of "https://host/a/b?c"; "/" where there is none.
std::string path_of(std::string_view url);
bool is_this_machine(std::string_view url);  // localhost, 127.*, [::1]

}  // namespace hearth::mcp
