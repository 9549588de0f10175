// Routes that no model here can answer yet: each says which kind of model would.
// Source: OpenAI API reference, "Images", "Audio", "Moderations".
#include <fmt/core.h>

#include "server/interfaces.h"
#include "server/rows.h"

namespace hearth::server {
namespace {

struct Need {
  std::string_view path, does, model;
};

constexpr Need needs[] = {
    {"/v1/images/generations", "make images", "one like Stable Diffusion or FLUX"},
    {"/v1/images/edits", "change images", "one like Stable Diffusion or FLUX"},
    {"/v1/images/variations", "change images", "one like Stable Diffusion or FLUX"},
    {"/v1/audio/speech", "speak", "one like Kokoro or Piper"},
    {"/v1/moderations", "judge texts", "one like Llama Guard, with its categories"},
};

void refuse(Service& service, Call call) {
  for (const Need& need : needs) {
    if (need.path != call.endpoint->path) continue;
    return send_unable(service, call, need.does, need.model);
  }
}

constexpr Endpoint row_of(const Need& need, std::string_view summary) {
  return {"POST", need.path, summary, Scope::chat, "", "", Endpoint::Place::loop, refuse};
}

constexpr Endpoint rows[] = {
    row_of(needs[0], "Make images (501: no model here does)."),
    row_of(needs[1], "Change an image (501: no model here does)."),
    row_of(needs[2], "Vary an image (501: no model here does)."),
    row_of(needs[3], "Speak a text (501: no model here does)."),
    row_of(needs[4], "Judge texts (501: no model here does)."),
};

}  // namespace

void send_unable(Service& service, Call& call, std::string_view does, std::string_view model) {
  const Problem problem{
      501, "unsupported",
      fmt::format("{} is not offered: it takes a model that can {}, {}, and none that runs "
                  "here is installed",
                  call.endpoint->path, does, model),
      "model", 0};
  http::Response response = error_response(call.request, problem);
  // Otherwise SDKs ask twice more, as after a failure that may pass.
  response.headers.push_back({"x-should-retry", "false"});
  send(service, call, std::move(response));
}

std::span<const Endpoint> unable_rows() { return rows; }

}  // namespace hearth::server
