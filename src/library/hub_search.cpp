#include "library/hub_search.h"

#include <fmt/core.h>

#include <algorithm>

#include "library/json_members.h"
#include "library/transfer.h"

namespace hearth {
namespace {

bool has_tag(const Json& model, std::string_view tag) {
  const Json* tags = model.find("tags");
  return tags && tags->is_array() && std::ranges::any_of(tags->as_array(), [&](const Json& one) {
           return one.is_string() && one.as_string() == tag;
         });
}

}  // namespace

Json to_json(const HubModel& model) {
  return Json::object({{"reference", model.reference},
                       {"form", model.form},
                       {"task", model.task},
                       {"changed", model.changed},
                       {"downloads", model.downloads},
                       {"likes", model.likes},
                       {"gated", model.is_gated}});
}

Result<std::vector<HubModel>> search_hub(std::string_view words, std::size_t most,
                                         const Network& network, const DownloadHooks& hooks) {
  if (words.find_first_not_of(' ') == words.npos)
    return Error(ErrorKind::invalid, "a search of the hub needs words");
  if (!network.offline.empty())
    return Error(ErrorKind::unavailable,
                 fmt::format("the hub is not asked, since {}", network.offline));
  constexpr std::size_t asked = 4 * most_found_models;  // many are of other forms
  const std::string answer = TRY(fetch_text(
      {.url = fmt::format(
           "{}/api/models?search={}&sort=downloads&direction=-1&limit={}"
           "&expand%5B%5D=downloads&expand%5B%5D=likes&expand%5B%5D=tags&expand%5B%5D=gated"
           "&expand%5B%5D=pipeline_tag&expand%5B%5D=lastModified",
           network.hub, percent_encoded(words), asked),
       .bearer = network.hub_token,
       .headers = {"Accept: application/json"},
       .refusal = {}},
      network, hooks));
  const auto json = parse_json(answer);
  if (!json || !json->is_array())
    return Error(ErrorKind::corrupt,
                 fmt::format("{}: the hub's answer is no list of models", network.hub));
  std::vector<HubModel> found;
  for (const Json& one : json->as_array()) {
    if (found.size() == std::min(most, most_found_models)) break;
    const std::string id = one.is_object() ? text_member(one, "id") : "";
    const bool is_gguf = !id.empty() && has_tag(one, "gguf");
    if (!is_gguf && (id.empty() || !has_tag(one, "safetensors"))) continue;
    const Json* gated = one.find("gated");
    found.push_back({.reference = "hf:" + id,
                     .form = is_gguf ? "gguf" : "safetensors",
                     .task = text_member(one, "pipeline_tag"),
                     .changed = text_member(one, "lastModified").substr(0, 10),
                     .downloads = count_member(one, "downloads"),
                     .likes = count_member(one, "likes"),
                     .is_gated = gated && !(gated->is_bool() && !gated->as_bool())});
  }
  return found;
}

}  // namespace hearth
