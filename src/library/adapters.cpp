#include "library/adapters.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/files.h"
#include "base/store_files.h"
#include "formats/lora.h"
#include "library/library.h"
#include "models/adapter.h"

namespace hearth {
namespace {

// A name that can stand behind a model's.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

// Another text for another file, or the same one changed.
std::string key_of(const std::string& path) {
  std::string key = path;
  const auto add = [&key](const std::string& file) {
    if (const auto identity = file_identity(file))
      key += fmt::format(" {} {}", identity->bytes, identity->modified_ns);
  };
  if (!is_folder(path)) add(path);
  if (is_folder(path))
    for (const std::string_view name : {"adapter_config.json", "adapter_model.safetensors",
                                        "adapter_model.bin", "adapters.safetensors"})
      add(join_path(path, name));
  return key;
}

Result<std::shared_ptr<const Adapter>> read_one(ops::Context& ctx, const Model& model,
                                                const std::string& path) {
  LoraFile file = TRY(open_lora(path));
  file.key = key_of(path);
  return model.read_adapter(ctx, file);
}

// Another runner, whose requests use adapters where they do not say which.
class AdaptedRunner final : public Runner {
 public:
  using Uses = std::function<std::vector<AdapterUse>()>;
  // `to` lives as long as `holds`.
  AdaptedRunner(Runner& to, std::shared_ptr<const void> holds, Uses uses)
      : holds_(std::move(holds)), to_(to), uses_(std::move(uses)) {}

  Status submit(GenerateRequest request, OnEvent on_event) override {
    if (!request.adapters) request.adapters = uses_();
    return to_.submit(std::move(request), std::move(on_event));
  }
  Result<std::vector<std::vector<float>>> embed(std::span<const std::vector<Token>> texts,
                                                std::stop_token stop) override {
    if (!uses_().empty())
      return Error(ErrorKind::unsupported, "adapters change answers, not vectors");
    return to_.embed(texts, std::move(stop));
  }
  const Model& model() const override { return to_.model(); }
  std::uint32_t context_tokens() const override { return to_.context_tokens(); }
  RunnerStats stats() const override { return to_.stats(); }
  void drain() override { to_.drain(); }
  void limit(const RunnerLimits& limits) override { to_.limit(limits); }

 private:
  const std::shared_ptr<const void> holds_;
  Runner& to_;
  const Uses uses_;
};

}  // namespace

Result<AdapterWish> read_adapter_wish(std::string_view text) {
  const auto sign = text.find('=');
  AdapterWish wish;
  wish.is_standard = sign == text.npos;
  wish.path = text.substr(wish.is_standard ? 0 : sign + 1);
  if (wish.path.size() > 1 && wish.path.ends_with('/')) wish.path.pop_back();
  if (wish.is_standard) {
    wish.name = file_name(wish.path);
    if (wish.name.ends_with(".gguf")) wish.name.resize(wish.name.size() - 5);
    if (wish.name == "adapter_model.safetensors") wish.name = file_name(parent_folder(wish.path));
    std::ranges::replace_if(wish.name, [](char c) { return !is_name({&c, 1}); }, '-');
  } else {
    wish.name = text.substr(0, sign);
  }
  if (!is_name(wish.name) || wish.path.empty())
    return Error(ErrorKind::invalid,
                 fmt::format("an adapter '{}': needs PATH, or NAME=PATH with a name of up to 64 "
                             "letters, digits, '-', '_' and '.'",
                             text));
  return wish;
}

Result<std::shared_ptr<Adapters>> Adapters::read(
    ops::Context& ctx, const Model& model, const std::vector<AdapterWish>& wishes,
    const std::function<void(const Error& error)>& left_out) {
  if (wishes.size() > max_adapters)
    return Error(ErrorKind::exhausted,
                 fmt::format("{} adapters, of at most {}", wishes.size(), max_adapters));
  auto adapters = std::make_shared<Adapters>();
  std::vector<float> scales;
  for (const AdapterWish& wish : wishes) {
    const bool is_there = std::ranges::any_of(
        adapters->entries_, [&](const Entry& entry) { return entry.name == wish.name; });
    if (is_there)
      return Error(ErrorKind::invalid, fmt::format("two adapters are named {}", wish.name));
    auto adapter = read_one(ctx, model, wish.path);
    if (!adapter && !left_out) return adapter.error();
    if (!adapter) {
      left_out(adapter.error());
      continue;
    }
    adapters->entries_.push_back({wish.name, wish.path, *std::move(adapter)});
    scales.push_back(wish.is_standard ? 1.0f : 0.0f);
  }
  adapters->set_scales(std::move(scales));
  return adapters;
}

std::uint64_t Adapters::bytes() const {
  std::uint64_t bytes = 0;
  for (const Entry& entry : entries_) bytes += entry.adapter->bytes;
  return bytes;
}

std::vector<float> Adapters::scales() const {
  return scales_.with([](const std::vector<float>& scales) { return scales; });
}

void Adapters::set_scales(std::vector<float> scales) {
  scales_.with([&](std::vector<float>& held) { held = std::move(scales); });
}

std::vector<AdapterUse> Adapters::uses(const std::vector<float>& scales) const {
  std::vector<AdapterUse> uses;
  for (std::size_t i = 0; i < entries_.size() && i < scales.size(); ++i)
    if (scales[i] != 0) uses.push_back({entries_[i].adapter, scales[i]});
  return uses;
}

std::unique_ptr<Runner> with_standard_adapters(std::unique_ptr<Runner> runner,
                                               std::shared_ptr<const Adapters> adapters) {
  Runner& to = *runner;
  return std::make_unique<AdaptedRunner>(
      to, std::shared_ptr<const Runner>(std::move(runner)),
      [adapters = std::move(adapters)] { return adapters->uses(adapters->scales()); });
}

Result<std::vector<AdapterUse>> AdapterShelf::uses(ops::Context& ctx, const Model& model,
                                                   const std::vector<std::string>& paths) {
  std::vector<AdapterUse> uses;
  for (const std::string& path : paths) {
    auto adapter = read_.with([&](auto& read) -> Result<std::shared_ptr<const Adapter>> {
      const std::string key = key_of(path);
      if (const auto found = read.find(key); found != read.end()) return found->second;
      auto fresh = TRY(read_one(ctx, model, path));
      read.emplace(key, fresh);
      return fresh;
    });
    if (!adapter) return std::move(adapter).error();
    uses.push_back({*std::move(adapter), 1});
  }
  return uses;
}

std::uint64_t AdapterShelf::bytes() const {
  return read_.with([](const auto& read) {
    std::uint64_t bytes = 0;
    for (const auto& [key, adapter] : read) bytes += adapter->bytes;
    return bytes;
  });
}

Lease with_uses(const Lease& model, std::vector<AdapterUse> uses) {
  auto adapted = std::make_shared<LoadedModel>();
  adapted->reference = model->reference;
  adapted->id = model->id;
  adapted->path = model->path;
  adapted->loaded_seconds = model->loaded_seconds;
  adapted->weight_bytes = model->weight_bytes;
  adapted->sampling = model->sampling;
  adapted->wishes = model->wishes;
  adapted->grammars = model->grammars;
  adapted->engine = model->engine;
  adapted->adapters = model->adapters;
  adapted->shelf = model->shelf;
  adapted->runner = std::make_unique<AdaptedRunner>(*model->runner, model,
                                                    [uses = std::move(uses)] { return uses; });
  return adapted;
}

Lease with_adapter(const Lease& model, std::size_t index) {
  const Adapters::Entry& entry = model->adapters->entries()[index];
  Lease adapted = with_uses(model, {{entry.adapter, 1}});
  adapted->reference = adapted->id = fmt::format("{}:{}", model->id, entry.name);
  return adapted;
}

AdapterPlace find_adapter(const std::vector<Lease>& models, std::string_view name) {
  for (const bool is_short : {false, true})
    for (const Lease& model : models) {
      if (!model->adapters) continue;
      const auto& entries = model->adapters->entries();
      for (std::size_t i = 0; i < entries.size(); ++i)
        if (name == (is_short ? entries[i].name : fmt::format("{}:{}", model->id, entries[i].name)))
          return {model, i};
    }
  return {};
}

}  // namespace hearth
