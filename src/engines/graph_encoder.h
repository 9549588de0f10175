// GraphEncoder: a graph that turns texts into vectors, or pairs of texts into scores.
#pragma once

#include <memory>

#include "engines/graph_binding.h"
#include "engines/graph_run.h"
#include "models/hyper.h"
#include "models/model.h"
#include "models/text_side.h"

namespace hearth::adapters {

struct EncoderOptions {
  models::Pooling pooling = models::Pooling::mean;
  bool normalise = true;
};

std::shared_ptr<const Model> make_graph_encoder(std::unique_ptr<const GraphRun> run,
                                                GraphBinding binding, ModelInfo info,
                                                models::TextSide text,
                                                const EncoderOptions& options);

}  // namespace hearth::adapters
