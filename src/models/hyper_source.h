// HyperSource: one ranged accessor for every hyper-parameter, whether it stands in GGUF metadata or
// in config.json.  Nothing else on this floor reads a number from a file's header.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/package.h"

namespace hearth::models {

// Names of one number: the GGUF key after "{arch}." and the config.json keys, separated by '|';
// the first that is there counts.  Empty: not stored under that naming.
struct Keys {
  std::string_view gguf, hf;
};

struct Range {
  double min, max;
};

// Absent (JSON null too) is not an error.  Errors: corrupt (key, what it held, what it needed).
class HyperSource {
 public:
  HyperSource(const Package& package, std::string arch);
  // Reads members of `object`, which is a part of config.json.
  HyperSource(const Package& package, std::string arch, const Json& object);

  bool has(Keys keys) const { return is_gguf() ? !!gguf_key(keys) : member(keys.hf) != nullptr; }
  bool is_gguf() const { return package_->naming == Naming::gguf; }
  const std::string& arch() const { return arch_; }

  Result<std::optional<double>> real(Keys keys, Range range) const;
  Result<std::optional<std::uint32_t>> count(Keys keys, std::uint32_t min, std::uint32_t max) const;
  Result<std::optional<bool>> flag(Keys keys) const;
  Result<std::optional<std::string>> text(Keys keys) const;
  // A list, or one number as a list of one.
  Result<std::optional<std::vector<std::uint32_t>>> counts(Keys keys, std::uint32_t min,
                                                           std::uint32_t max) const;
  Result<std::optional<std::vector<double>>> reals(Keys keys, Range range) const;
  Result<std::optional<std::vector<std::string>>> texts(Keys keys) const;  // config.json only

  // The same, with "not there" as an error.
  Result<std::uint32_t> required_count(Keys keys, std::uint32_t min, std::uint32_t max) const;

  // The member of config.json, or nullptr.
  const Json* member(std::string_view hf_keys) const;
  std::string name_of(Keys keys) const;  // for messages

 private:
  std::optional<std::string> gguf_key(Keys keys) const;

  const Package* package_;
  std::string arch_;
  const Json* object_;
};

// One of the package's files as JSON; null where there is none.
Result<Json> json_file(const Package& package, std::string_view name);

// The part of config.json that describes the language model: `text_config` where it is nested.
const Json& language_config(const Package& package);

}  // namespace hearth::models
