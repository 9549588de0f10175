// The Model of every architecture around its trunk.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "models/dense_heads.h"
#include "models/model.h"
#include "models/trunk.h"
#include "models/vision/vision.h"
#include "ops/late_packing.h"

namespace hearth::models {

struct Parts {
  Parts();
  ~Parts();

  Package package;  // keeps the storage that weights point into
  Trunk trunk;
  std::unique_ptr<ops::LatePacking> late = std::make_unique<ops::LatePacking>();  // of its matrices
  ModelInfo info;
  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<ChatFormat> chat_format;
  std::string chat_template_source;
  std::vector<DenseHead> dense;          // of embedders
  bool plain = false;                    // run the reference path
  std::unique_ptr<const Vision> vision;  // nullptr: none
};

// Complete parts to a model that runs.
std::shared_ptr<const Model> make_transformer(std::unique_ptr<const Parts> parts);

}  // namespace hearth::models
