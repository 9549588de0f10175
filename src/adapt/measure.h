// Measuring an importance matrix: a model reads a text, and what each matrix is multiplied with is
// squared and averaged, column by column.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "adapt/importance.h"
#include "formats/package.h"
#include "ops/context.h"

namespace hearth::adapt {

struct MeasureOptions {
  std::uint32_t chunk_tokens = 512;
  std::uint32_t most_chunks = 0xFFFFFFFF;
  std::string text_name = {};  // to remember it by
  std::function<void(double share)> progress = {};
  std::stop_token stop = {};
};

// Errors: those of loading; invalid (no model of GGUF rows, too short a text), cancelled.
Result<ImportanceMatrix> measure_importance(ops::Context& ctx, const Package& package,
                                            const std::string& text, const MeasureOptions& options);

}  // namespace hearth::adapt
