// Looking for models on Hugging Face.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "library/download.h"

namespace hearth {

struct HubModel {
  std::string reference;  // "hf:org/repo", as `hearth pull` takes it
  std::string form;       // gguf or safetensors
  std::string task;       // in the hub's words; empty: not said
  std::string changed;    // a date, "2026-01-31"
  std::uint64_t downloads = 0, likes = 0;
  bool is_gated = false;  // its licence has to be accepted there
};
Json to_json(const HubModel& model);

constexpr std::size_t most_found_models = 50;

// Those that hold files Hearth reads, most downloaded first, at most so many.
// Errors: invalid (no words), unavailable (offline, the network), corrupt.
// Source: "Hub API Endpoints", GET /api/models.
Result<std::vector<HubModel>> search_hub(std::string_view words, std::size_t most,
                                         const Network& network, const DownloadHooks& hooks);

}  // namespace hearth
