// config.json on its way: what its writers share.
#pragma once

#include "adapt/translate/origin.h"
#include "models/hyper_source.h"

namespace hearth::adapt {

class Config {
 public:
  explicit Config(const models::ArchSpec& spec) : spec_(spec) {}

  void set(std::string_view key, Json value) { json.set(std::string(key), std::move(value)); }
  // Under the one of the alternatives that the class reads.
  void set(models::Keys keys, Json value);
  // Whether the class reads one of the alternatives.
  bool reads(models::Keys keys) const;

  Json json = Json::object();

 private:
  const models::ArchSpec& spec_;
};

// A number as its shortest text: GGUF holds floats of four bytes.
inline Json real(double value) { return Json(static_cast<float>(value)); }

// In any layer: not all have every part.
bool has_bias(const Origin& origin, models::Role wanted);

// Each sets its part of the configuration.  Losses: what transformers has no words for.
Status add_rope(const Origin& origin, Config& out, std::vector<std::string>& losses);
// What differs from layer to layer: kinds of those that recur, and sizes.
void add_layers(const Origin& origin, Config& out);

}  // namespace hearth::adapt
