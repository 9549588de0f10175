// Batch: many requests that somebody wants answered some time.  Source: OpenAI API reference,
// "Batch"; Anthropic API reference, "Message Batches".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace hearth::server {

enum class BatchStatus {
  validating,
  in_progress,
  finalizing,
  completed,
  failed,
  expired,
  cancelling,
  cancelled
};
std::string_view name_of(BatchStatus status);

constexpr std::size_t max_batch_lines = 100'000;
constexpr std::uint64_t max_batch_bytes = 256ull << 20;
constexpr std::int64_t batch_window_seconds = 86'400;

struct Batch {
  std::string id;           // "batch_..." or "msgbatch_..."
  std::string endpoint;     // "/v1/chat/completions"
  std::string input_file;   // empty: the requests came with it
  std::string tenant, key;  // whose it is
  BatchStatus status = BatchStatus::validating;
  std::int64_t created = 0, expires = 0;
  std::int64_t began = 0, finalizing = 0, cancelling = 0, ended = 0;  // Unix time; 0: not yet
  std::int64_t total = 0, completed = 0, failed = 0;
  std::string output_file, error_file;
  Json metadata;
  std::vector<Json> errors;  // why it failed: {code, message, line, param}

  bool is_over() const;
};
Json to_json(const Batch& batch);
Result<Batch> batch_from_json(const Json& json);

// One request of the input.
struct BatchLine {
  std::string custom_id, path, body;
};
// Every line of a batch's input, or what is wrong with it, line by line.
struct BatchInput {
  std::vector<BatchLine> lines;
  std::vector<Json> errors;
};
BatchInput read_batch_input(std::string_view text, std::string_view endpoint);

}  // namespace hearth::server
