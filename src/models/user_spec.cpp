#include "models/user_spec.h"

#include <fmt/core.h>

#include <algorithm>
#include <deque>
#include <memory>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/guarded.h"
#include "base/nearest.h"
#include "models/architectures.h"
#include "models/roles.h"
#include "models/user_list.h"

namespace hearth::models {
namespace {

// A specification and everything that it points into.
struct Owned {
  ArchSpec spec;
  std::deque<std::string> texts;
  std::deque<std::vector<std::string_view>> names;
  std::deque<std::vector<TensorRow>> rows;
  std::vector<Renamed> renamed;

  std::string_view keep(const std::string& text) { return texts.emplace_back(text); }
};

struct Added {
  std::vector<std::shared_ptr<const Owned>> all;  // of every file ever read: models hold on to them
  std::vector<const ArchSpec*> known;             // newest first
  std::uint32_t mark = 0;                         // a checksum of all values that were added
};

Guarded<Added>& added() {
  static Guarded<Added> list;
  return list;
}

Error wrong(std::string_view key, const Json& held, std::string_view needed) {
  const std::string shown = held.is_string() ? "'" + held.as_string() + "'" : write_json(held);
  return Error(ErrorKind::invalid, fmt::format("{} = {}: needs {}", key, shown, needed));
}

// ---- One setting of a specification. ----

using Set = Status (*)(ArchSpec&, std::string_view key, const Json&);

template <auto member>
Status set_flag(ArchSpec& spec, std::string_view key, const Json& value) {
  if (!value.is_bool()) return wrong(key, value, "true or false");
  spec.*member = value.as_bool();
  return Done{};
}

template <auto member>
Status set_default_flag(ArchSpec& spec, std::string_view key, const Json& value) {
  if (!value.is_bool()) return wrong(key, value, "true or false");
  spec.defaults.*member = value.as_bool();
  return Done{};
}

template <auto member>
Status set_default_number(ArchSpec& spec, std::string_view key, const Json& value) {
  if (!value.is_number() || !(value.as_number() >= 0) || value.as_number() > 1e15)
    return wrong(key, value, "a number of at least 0");
  using Number = std::remove_reference_t<decltype(spec.defaults.*member)>;
  if (std::is_integral_v<Number> && (!value.is_integer() || value.as_number() > max_context))
    return wrong(key, value, fmt::format("a whole number up to {}", max_context));
  spec.defaults.*member = static_cast<Number>(value.as_number());
  return Done{};
}

template <typename T>
struct Word {
  std::string_view name;
  T value;
};

template <typename T, std::size_t n>
Result<T> one_of(std::string_view key, const Json& value, const Word<T> (&words)[n]) {
  std::string all;
  for (const Word<T>& word : words) {
    if (value.is_string() && value.as_string() == word.name) return word.value;
    all += fmt::format("{}{}", all.empty() ? "one of " : ", ", word.name);
  }
  return wrong(key, value, all);
}

constexpr Word<NormKind> norm_words[] = {{"rms", NormKind::rms}, {"layer", NormKind::layer}};
constexpr Word<MlpKind> mlp_words[] = {{"gated", MlpKind::gated}, {"plain", MlpKind::plain}};
constexpr Word<Parallel> parallel_words[] = {
    {"never", Parallel::never}, {"always", Parallel::always}, {"by_file", Parallel::by_hyper}};
constexpr Word<RopeRule> rope_words[] = {{"all", RopeRule::all},
                                         {"none", RopeRule::none},
                                         {"local_layers", RopeRule::local_layers},
                                         {"local_if_any", RopeRule::local_if_any},
                                         {"three_of_four", RopeRule::three_of_four},
                                         {"by_file", RopeRule::by_file}};
constexpr Word<ExpertGate> gate_words[] = {{"softmax", ExpertGate::softmax},
                                           {"sigmoid", ExpertGate::sigmoid}};
constexpr Word<ops::Activation> activation_words[] = {
    {"silu", ops::Activation::silu},           {"gelu", ops::Activation::gelu},
    {"gelu_tanh", ops::Activation::gelu_tanh}, {"quick_gelu", ops::Activation::quick_gelu},
    {"relu", ops::Activation::relu},           {"relu_squared", ops::Activation::relu_squared}};
constexpr Word<Presence> presence_words[] = {{"absent", Presence::absent},
                                             {"optional", Presence::optional},
                                             {"required", Presence::required}};

template <auto member, const auto& words>
Status set_word(ArchSpec& spec, std::string_view key, const Json& value) {
  spec.*member = TRY(one_of(key, value, words));
  return Done{};
}

Status set_interleaved(ArchSpec& spec, std::string_view key, const Json& value) {
  TRY(set_flag<&ArchSpec::rope_interleaved_gguf>(spec, key, value));
  return set_flag<&ArchSpec::rope_interleaved_hf>(spec, key, value);
}

Status set_gate(ArchSpec& spec, std::string_view key, const Json& value) {
  spec.defaults.expert_gate = TRY(one_of(key, value, gate_words));
  return Done{};
}

template <auto member>
Status set_local(ArchSpec& spec, std::string_view key, const Json& value) {
  if (!value.is_integer() || value.as_integer() < 0 || value.as_integer() > max_layers)
    return wrong(key, value, fmt::format("a whole number up to {}", max_layers));
  spec.local.*member = static_cast<std::uint32_t>(value.as_integer());
  return Done{};
}

// To let people change another field: a row here, and one in docs/guide/architectures.md.
constexpr struct {
  std::string_view key;
  Set set;
} settings[] = {
    {"norm", set_word<&ArchSpec::norm, norm_words>},
    {"norm_plus_one", set_flag<&ArchSpec::hf_norm_plus_one>},
    {"norm_after_rope", set_flag<&ArchSpec::norm_after_rope>},
    {"unit_after_rope", set_flag<&ArchSpec::unit_after_rope>},
    {"mlp", set_word<&ArchSpec::mlp, mlp_words>},
    {"activation", set_word<&ArchSpec::activation, activation_words>},
    {"activation_from_config", set_flag<&ArchSpec::activation_from_config>},
    {"parallel", set_word<&ArchSpec::parallel, parallel_words>},
    {"rope", set_word<&ArchSpec::rope, rope_words>},
    {"rope_interleaved", set_interleaved},
    {"rope_interleaved_gguf", set_flag<&ArchSpec::rope_interleaved_gguf>},
    {"rope_interleaved_hf", set_flag<&ArchSpec::rope_interleaved_hf>},
    {"local_period", set_local<&LocalPattern::period>},
    {"local_global_at", set_local<&LocalPattern::global_at>},
    {"local_rope_unscaled", set_flag<&ArchSpec::local_rope_unscaled>},
    {"embedding_scale_sqrt_dim", set_flag<&ArchSpec::embedding_scale_sqrt_dim>},
    {"logit_scale_divides", set_flag<&ArchSpec::logit_scale_divides>},
    {"scales_expert_input", set_flag<&ArchSpec::scales_expert_input>},
    {"defaults.norm_eps", set_default_number<&Defaults::norm_eps>},
    {"defaults.rope_theta", set_default_number<&Defaults::rope_theta>},
    {"defaults.rope_theta_local", set_default_number<&Defaults::rope_theta_local>},
    {"defaults.rotary_share", set_default_number<&Defaults::rotary_share>},
    {"defaults.normalise_experts", set_default_flag<&Defaults::normalise_experts>},
    {"defaults.expert_gate", set_gate},
    {"defaults.shared_experts", set_default_number<&Defaults::shared_experts>},
    {"defaults.chunk", set_default_number<&Defaults::chunk>},
    {"defaults.tied", set_default_flag<&Defaults::tied>},
    {"defaults.heads", set_default_number<&Defaults::heads>},
    {"defaults.kv_heads", set_default_number<&Defaults::kv_heads>},
    {"defaults.head_dim", set_default_number<&Defaults::head_dim>},
    {"defaults.vocab", set_default_number<&Defaults::vocab>},
    {"defaults.context", set_default_number<&Defaults::context>},
};

Error unknown_key(std::string_view key) {
  std::vector<std::string_view> known{"name", "base", "model_type", "numbers.KEY"};
  for (const auto& setting : settings) known.push_back(setting.key);
  return Error(ErrorKind::invalid,
               fmt::format("{}: no such key; did you mean {}?", key, nearest(key, known)));
}

// ---- Tensors. ----

// The row of a role in an architecture; nullptr: it has none.
const TensorRow* row_of(const ArchSpec& spec, Role role) {
  for (const auto rows : spec.tensors)
    for (const TensorRow& row : rows)
      if (row.role == role) return &row;
  return nullptr;
}

Result<const ArchSpec*> known_architecture(std::string_view key, const Json& value) {
  std::vector<std::string_view> names;
  for (const ArchSpec* spec : architectures()) {
    if (value.is_string() && value.as_string() == spec->name) return spec;
    names.push_back(spec->name);
  }
  if (!value.is_string()) return wrong(key, value, "the name of an architecture");
  return wrong(key, value,
               fmt::format("an architecture we know, as {}", nearest(value.as_string(), names)));
}

// key: "tensors.ROLE.WHAT".
Status set_tensor(Owned& owned, std::vector<TensorRow>& rows, std::string_view key,
                  const Json& value) {
  const auto dot = key.find('.', 8);
  const std::string_view word = key.substr(8, dot - 8);
  const std::string_view what = dot == key.npos ? std::string_view() : key.substr(dot + 1);
  const auto role = role_named(word);
  if (!role)
    return Error(ErrorKind::invalid, fmt::format("{}: no such tensor; did you mean {}?", key,
                                                 nearest(word, role_names())));
  auto row = std::ranges::find(rows, *role, &TensorRow::role);
  if (what == "from") {
    const ArchSpec* other = TRY(known_architecture(key, value));
    const TensorRow* found = row_of(*other, *role);
    if (found == nullptr) return wrong(key, value, fmt::format("one that has {}", word));
    if (row == rows.end())
      rows.push_back(*found);
    else
      *row = *found;
    return Done{};
  }
  if (row == rows.end())
    return Error(ErrorKind::invalid,
                 fmt::format("{}: the base has no such tensor; tensors.{}.from names an "
                             "architecture that has it",
                             key, word));
  if (what == "weight" || what == "bias") {
    (what == "bias" ? row->bias : row->weight) = TRY(one_of(key, value, presence_words));
    if (row->weight == Presence::absent) rows.erase(row);
    return Done{};
  }
  if (what != "gguf" && what != "hf")
    return Error(ErrorKind::invalid, fmt::format("{}: needs gguf, hf, weight, bias or from", key));
  if (!value.is_string()) return wrong(key, value, "a name");
  (what == "hf" ? row->hf : row->gguf) = owned.keep(value.as_string());
  return Done{};
}

// ---- The whole. ----

const Json* value_of(std::span<const ArchitectureValue> values, std::string_view key) {
  const auto found = std::ranges::find(values, key, &ArchitectureValue::first);
  return found == values.end() ? nullptr : &found->second;
}

Status set_types(Owned& owned, const Json& value) {
  auto& names = owned.names.emplace_back();
  const Json::Array one{value};
  for (const Json& item : value.is_array() ? value.as_array() : one) {
    if (!item.is_string()) return wrong("model_type", value, "a name, or a list of names");
    names.push_back(owned.keep(item.as_string()));
  }
  owned.spec.hf_types = names;
  return Done{};
}

bool by_place(const ArchitectureValue* a, const ArchitectureValue* b) {
  // A tensor is taken from another architecture before its names are set.
  return a->first.ends_with(".from") && !b->first.ends_with(".from");
}

Result<std::shared_ptr<const Owned>> read(std::span<const ArchitectureValue> values) {
  const Json* name = value_of(values, "name");
  const Json* base = value_of(values, "base");
  if (name == nullptr || !name->is_string() || name->as_string().empty())
    return Error(ErrorKind::invalid, "name is missing: needs what the architecture is called");
  if (base == nullptr)
    return Error(ErrorKind::invalid, "base is missing: needs an architecture we know");
  auto owned = std::make_shared<Owned>();
  owned->spec = *TRY(known_architecture("base", *base));
  owned->spec.name = owned->keep(name->as_string());
  owned->spec.gguf_also = {};
  owned->spec.hf_class = {};
  owned->names.emplace_back().push_back(owned->spec.name);
  owned->spec.hf_types = owned->names.back();
  auto& rows = owned->rows.emplace_back();
  for (const auto some : owned->spec.tensors) rows.insert(rows.end(), some.begin(), some.end());

  std::vector<const ArchitectureValue*> order;
  for (const ArchitectureValue& value : values) order.push_back(&value);
  std::ranges::stable_sort(order, by_place);
  for (const ArchitectureValue* each : order) {
    const auto& [key, value] = *each;
    if (key == "name" || key == "base") continue;
    if (key == "model_type") {
      TRY(set_types(*owned, value));
    } else if (key.starts_with("tensors.")) {
      TRY(set_tensor(*owned, rows, key, value));
    } else if (key.starts_with("numbers.")) {
      if (!value.is_string()) return wrong(key, value, "the key that the files have");
      owned->renamed.push_back({owned->keep(key.substr(8)), owned->keep(value.as_string())});
    } else {
      const auto setting = std::ranges::find_if(
          settings, [&](const auto& row) { return row.key == std::string_view(key); });
      if (setting == std::end(settings)) return unknown_key(key);
      TRY(setting->set(owned->spec, key, value));
    }
  }
  std::ranges::fill(owned->spec.tensors, std::span<const TensorRow>());
  owned->spec.tensors[0] = rows;
  owned->spec.renamed = owned->renamed;
  return std::shared_ptr<const Owned>(std::move(owned));
}

}  // namespace

std::vector<const ArchSpec*> added_architectures() {
  return added().with([](const Added& list) { return list.known; });
}

}  // namespace hearth::models

namespace hearth {

Status add_architecture(std::span<const ArchitectureValue> values) {
  auto owned = TRY(models::read(values));
  models::added().with([&](models::Added& list) {
    std::erase_if(list.known,
                  [&](const models::ArchSpec* spec) { return spec->name == owned->spec.name; });
    list.known.insert(list.known.begin(), &owned->spec);
    for (const auto& [key, value] : values)
      list.mark = crc32c(bytes_of(fmt::format("{} = {}\n", key, write_json(value))), list.mark);
    list.all.push_back(std::move(owned));
  });
  return Done{};
}

void forget_added_architectures() {
  models::added().with([](models::Added& list) {
    list.known.clear();
    list.mark = 0;
  });
}

std::uint32_t added_architectures_mark() {
  return models::added().with([](const models::Added& list) { return list.mark; });
}

}  // namespace hearth
