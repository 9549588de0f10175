#include "models/hyper_source.h"

#include <fmt/core.h>

#include <cmath>
#include <utility>

#include "base/bytes.h"

namespace hearth::models {
namespace {

Error out_of_range(const std::string& name, double held, Range range) {
  return Error(ErrorKind::corrupt,
               fmt::format("{} = {}: needs {} to {}", name, held, range.min, range.max));
}

Error wrong_type(const std::string& name, const Json& held, std::string_view needed) {
  return Error(ErrorKind::corrupt,
               fmt::format("{} holds a {}: needs {}", name, held.type_name(), needed));
}

Status check(const std::string& name, double value, Range range) {
  if (!(value >= range.min && value <= range.max)) return out_of_range(name, value, range);
  return Done{};
}

Result<double> json_number(const std::string& name, const Json& value, bool whole) {
  if (!value.is_number()) return wrong_type(name, value, whole ? "a whole number" : "a number");
  const double number = value.as_number();
  if (whole && number != std::floor(number)) return wrong_type(name, value, "a whole number");
  return number;
}

}  // namespace

Result<Json> json_file(const Package& package, std::string_view name) {
  const auto found = package.files.find(name);
  auto parsed = parse_json(found == package.files.end() ? "null" : text_of(found->second));
  if (!parsed) return std::move(parsed).error().within(name);
  return parsed;
}

const Json& language_config(const Package& package) {
  const Json* nested = package.config.find("text_config");
  return nested != nullptr && nested->is_object() ? *nested : package.config;
}

HyperSource::HyperSource(const Package& package, std::string arch)
    : HyperSource(package, std::move(arch), language_config(package)) {}

HyperSource::HyperSource(const Package& package, std::string arch, const Json& object)
    : package_(&package), arch_(std::move(arch)), object_(&object) {}

const Json* HyperSource::member(std::string_view hf_keys) const {
  while (!hf_keys.empty()) {
    const auto bar = hf_keys.find('|');
    const Json* found = object_->find(hf_keys.substr(0, bar));
    if (found != nullptr && !found->is_null()) return found;
    if (bar == std::string_view::npos) break;
    hf_keys.remove_prefix(bar + 1);
  }
  return nullptr;
}

std::string HyperSource::name_of(Keys keys) const {
  if (is_gguf()) return fmt::format("{}.{}", arch_, keys.gguf);
  return fmt::format("config.json: {}", keys.hf.substr(0, keys.hf.find('|')));
}

std::optional<std::string> HyperSource::gguf_key(Keys keys) const {
  if (keys.gguf.empty()) return std::nullopt;
  std::string key = fmt::format("{}.{}", arch_, keys.gguf);
  if (!package_->metadata.has(key)) return std::nullopt;
  return key;
}

Result<std::optional<double>> HyperSource::real(Keys keys, Range range) const {
  double value = 0;
  if (is_gguf()) {
    const auto key = gguf_key(keys);
    if (!key) return std::optional<double>();
    value = TRY(package_->metadata.real(*key));
  } else {
    const Json* found = member(keys.hf);
    if (found == nullptr) return std::optional<double>();
    value = TRY(json_number(name_of(keys), *found, false));
  }
  TRY(check(name_of(keys), value, range));
  return std::optional(value);
}

Result<std::optional<std::uint32_t>> HyperSource::count(Keys keys, std::uint32_t min,
                                                        std::uint32_t max) const {
  double value = 0;
  if (is_gguf()) {
    const auto key = gguf_key(keys);
    if (!key) return std::optional<std::uint32_t>();
    value = static_cast<double>(TRY(package_->metadata.integer(*key)));
  } else {
    const Json* found = member(keys.hf);
    if (found == nullptr) return std::optional<std::uint32_t>();
    value = TRY(json_number(name_of(keys), *found, true));
  }
  TRY(check(name_of(keys), value, {static_cast<double>(min), static_cast<double>(max)}));
  return std::optional(static_cast<std::uint32_t>(value));
}

Result<std::optional<bool>> HyperSource::flag(Keys keys) const {
  if (is_gguf()) {
    const auto key = gguf_key(keys);
    if (!key) return std::optional<bool>();
    return std::optional(TRY(package_->metadata.boolean(*key)));
  }
  const Json* found = member(keys.hf);
  if (found == nullptr) return std::optional<bool>();
  if (!found->is_bool()) return wrong_type(name_of(keys), *found, "true or false");
  return std::optional(found->as_bool());
}

Result<std::optional<std::string>> HyperSource::text(Keys keys) const {
  if (is_gguf()) {
    const auto key = gguf_key(keys);
    if (!key) return std::optional<std::string>();
    return std::optional(std::string(TRY(package_->metadata.string(*key))));
  }
  const Json* found = member(keys.hf);
  if (found == nullptr) return std::optional<std::string>();
  if (!found->is_string()) return wrong_type(name_of(keys), *found, "a string");
  return std::optional(found->as_string());
}

Result<std::optional<std::vector<double>>> HyperSource::reals(Keys keys, Range range) const {
  std::vector<double> values;
  if (is_gguf()) {
    const auto key = gguf_key(keys);
    if (!key) return std::optional<std::vector<double>>();
    for (const float value : TRY(package_->metadata.reals(*key))) values.push_back(value);
  } else {
    const Json* found = member(keys.hf);
    if (found == nullptr) return std::optional<std::vector<double>>();
    if (!found->is_array()) return wrong_type(name_of(keys), *found, "a list of numbers");
    for (const Json& item : found->as_array())
      values.push_back(TRY(json_number(name_of(keys), item, false)));
  }
  for (const double value : values) TRY(check(name_of(keys), value, range));
  return std::optional(std::move(values));
}

Result<std::optional<std::vector<std::uint32_t>>> HyperSource::counts(Keys keys, std::uint32_t min,
                                                                      std::uint32_t max) const {
  std::vector<double> values;
  if (is_gguf()) {
    const auto key = gguf_key(keys);
    if (!key) return std::optional<std::vector<std::uint32_t>>();
    const MetaValue& held = *package_->metadata.find(*key);
    if (held.type == MetaType::boolean) {
      for (const bool value : TRY(package_->metadata.booleans(*key))) values.push_back(value);
    } else {
      for (const std::int64_t value : TRY(package_->metadata.integers(*key)))
        values.push_back(static_cast<double>(value));
    }
  } else {
    const Json* found = member(keys.hf);
    if (found == nullptr) return std::optional<std::vector<std::uint32_t>>();
    const Json::Array one{*found};
    for (const Json& item : found->is_array() ? found->as_array() : one)
      values.push_back(TRY(json_number(name_of(keys), item, true)));
  }
  const Range range{static_cast<double>(min), static_cast<double>(max)};
  for (const double value : values) TRY(check(name_of(keys), value, range));
  return std::optional(std::vector<std::uint32_t>(values.begin(), values.end()));
}

Result<std::optional<std::vector<std::string>>> HyperSource::texts(Keys keys) const {
  const Json* found = is_gguf() ? nullptr : member(keys.hf);
  if (found == nullptr) return std::optional<std::vector<std::string>>();
  if (!found->is_array()) return wrong_type(name_of(keys), *found, "a list of strings");
  std::vector<std::string> values;
  for (const Json& item : found->as_array()) {
    if (!item.is_string()) return wrong_type(name_of(keys), item, "a string");
    values.push_back(item.as_string());
  }
  return std::optional(std::move(values));
}

Result<std::uint32_t> HyperSource::required_count(Keys keys, std::uint32_t min,
                                                  std::uint32_t max) const {
  const auto value = TRY(count(keys, min, max));
  if (!value) return Error(ErrorKind::corrupt, fmt::format("{} is missing", name_of(keys)));
  return *value;
}

}  // namespace hearth::models
