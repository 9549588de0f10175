// What a model is and can do, for the listings of all interfaces.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "library/library.h"
#include "server/service.h"

namespace hearth::server {

// A model as listings show it, in memory or not.
struct ModelCard {
  std::string id, title, path, architecture, quantisation;
  ModelKind kind = ModelKind::generator;
  std::uint64_t parameters = 0, file_bytes = 0;
  std::uint64_t trained_context = 0, vocabulary = 0, dim = 0;
  std::uint64_t context = 0;         // of requests now, or as it would be loaded
  std::int64_t created_seconds = 0;  // Unix time
  std::vector<std::string> capabilities;
  bool is_loaded = false;
  std::string parent = {};  // of a model with an adapter: the model without
};

ModelCard card_of(const LoadedModel& loaded);
ModelCard card_of(const LocalModel& model);

// What is in memory without being installed, then all that is installed and runs.
std::vector<ModelCard> cards_of(Service& service);
// By any name.  Errors: 404 model_not_found.
Checked<ModelCard> find_card(Service& service, const std::string& name);

// "completion", "tools", "thinking", "insert", "embedding", "rerank", "transcription".
std::vector<std::string> capabilities_of(const LoadedModel& loaded);

// "2026-11-21T03:07:45.000000+00:00"; every client's parser of RFC 3339 reads it.
std::string time_text(std::int64_t unix_microseconds);
std::string time_now();

}  // namespace hearth::server
