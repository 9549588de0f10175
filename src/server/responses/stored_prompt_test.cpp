// Prompts in files, and what is put into them.
#include <doctest/doctest.h>

#include "base/bytes.h"
#include "config/temp_folder.h"
#include "server/responses/responses.h"
#include "server/responses/stored_prompt.h"

using namespace hearth;
using namespace hearth::server;
using responses::stored_prompt;

namespace {

Json body_of(std::string_view prompt) {
  return parse_json(R"({"prompt":)" + std::string(prompt) + "}").value();
}

}  // namespace

TEST_CASE("a prompt of a file, with its variables") {
  const TempFolder folder;
  folder.put("review.md", "Review {{language}} for {{ who }}.\n");
  folder.put("review@2.md", "Version two.");
  const auto text = [&](std::string_view prompt) {
    auto made = stored_prompt(body_of(prompt), folder.path());
    REQUIRE(made.ok());
    return std::move(made).value();
  };
  CHECK(text("null").empty());
  // What is put in is not looked through for variables.
  CHECK(text(R"({"id":"review","variables":{"language":"{{who}}",
                "who":{"type":"input_text","text":"Ann"}}})") == "Review {{who}} for Ann.\n");
  CHECK(text(R"({"id":"review","version":"2"})") == "Version two.");

  const Json body = parse_json(R"({"instructions":"Be kind."})").value();
  auto translated = responses::translate_request(body, {}, "Version two.");
  REQUIRE(translated.ok());
  CHECK(write_json(*translated.value().body.find("messages")) ==
        R"([{"role":"system","content":[{"type":"text","text":"Version two.\n\nBe kind."}]}])");
}

TEST_CASE("prompts that cannot be had are refused by name") {
  const TempFolder folder;
  folder.put("review.md", "Review {{language}}.");
  folder.put("broken.md", "\xFF");
  const struct {
    std::string prompt, param, what;
    int status = 400;
  } rows[] = {
      {R"("review")", "prompt", "needs an object"},
      {R"({})", "prompt.id", "needs letters"},
      {R"({"id":"../review"})", "prompt.id", "needs letters"},
      {R"({"id":".review"})", "prompt.id", "needs letters"},
      {R"({"id":"review","version":"/"})", "prompt.version", "needs letters"},
      {R"({"id":"other"})", "prompt", "no prompt 'other'", 404},
      {R"({"id":"review","version":"3"})", "prompt", "no prompt 'review@3'", 404},
      {R"({"id":"broken"})", "prompt", "no UTF-8"},
      {R"({"id":"review"})", "prompt.variables", "lacks 'language'"},
      {R"({"id":"review","variables":[]})", "prompt.variables", "needs an object"},
      {R"({"id":"review","variables":{"language":{"type":"input_image"}}})", "prompt.variables",
       "'language' is no text"},
      {R"({"id":"review","variables":{"language":"C","x":"y"}})", "prompt.variables", "has 'x'"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.prompt);
    auto made = stored_prompt(body_of(row.prompt), folder.path());
    REQUIRE(!made.ok());
    CHECK(made.error().status == row.status);
    CHECK(made.error().param == row.param);
    CAPTURE(made.error().message);
    CHECK(made.error().message.find(row.what) != std::string::npos);
  }
}
