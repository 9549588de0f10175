#include "library/machine_speeds.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/files.h"
#include "hardware/cpu.h"
#include "hardware/memory.h"
#include "library/catalog.h"
#include "library/json_members.h"
#include "ops/recode.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_file_bytes = 1u << 20;
// Types that are read as another one is: whole numbers are codes of four bits and of eight.
constexpr std::pair<std::string_view, std::string_view> read_alike[] = {
    {"iq4_nl", "q4_0"}, {"i32", "q4_0"}, {"u8", "q4_0"}, {"i8", "q8_0"}};
// Bytes of a Q4_K_M file, as models of 1 to 14 billion parameters have them: half of the value and
// down matrices and the output are q6_k.
constexpr double q6_k_share_of_four_bits = 0.33;
// Of what is stored: figures of another kind are passed over.
constexpr int stored_form = 3;

std::string file_of(const LibraryFolders& folders) {
  return join_path(folders.cache, "machine.json");
}

const Json::Array& list_of(const Json& json, std::string_view name) {
  static const Json::Array none;
  const Json* value = json.find(name);
  return value && value->is_array() ? value->as_array() : none;
}

}  // namespace

Json to_json(const MachineSpeeds& speeds) {
  Json memory = Json::array(), tables = Json::array(), weights = Json::array();
  for (const MachineSpeeds::Memory& one : speeds.memory)
    memory.push_back(
        Json::object({{"threads", one.threads}, {"bytes_per_second", one.bytes_per_second}}));
  for (const MachineSpeeds::Table& one : speeds.tables)
    tables.push_back(Json::object({{"name", one.name},
                                   {"whole_per_second", one.whole_per_second},
                                   {"float_per_second", one.float_per_second}}));
  for (const MachineSpeeds::Weights& one : speeds.weights)
    weights.push_back(
        Json::object({{"dtype", one.dtype}, {"bytes_per_second", one.bytes_per_second}}));
  return Json::object({{"version", HEARTH_VERSION},
                       {"form", stored_form},
                       {"processor", speeds.processor},
                       {"kernels", speeds.kernels},
                       {"threads", speeds.threads},
                       {"memory", std::move(memory)},
                       {"tables", std::move(tables)},
                       {"weights", std::move(weights)},
                       {"layer_seconds", speeds.layer_seconds},
                       {"logit_seconds", speeds.logit_seconds},
                       {"disk_write_bytes_per_second", speeds.disk_write_bytes_per_second},
                       {"disk_read_bytes_per_second", speeds.disk_read_bytes_per_second},
                       {"disk_random_reads_per_second", speeds.disk_random_reads_per_second},
                       {"seconds", speeds.seconds},
                       {"measured", speeds.measured_seconds}});
}

Status save_speeds(const LibraryFolders& folders, const MachineSpeeds& speeds) {
  const std::string text = write_json(to_json(speeds), {.indent = 1});
  return replace_file(file_of(folders), bytes_of(text));
}

std::optional<MachineSpeeds> load_speeds(const LibraryFolders& folders) {
  const auto text = read_file(file_of(folders), max_file_bytes);
  const auto json = text ? parse_json(*text) : Result<Json>(Json());
  if (!json || !json->is_object()) return std::nullopt;
  MachineSpeeds speeds;
  speeds.processor = text_member(*json, "processor");
  speeds.kernels = text_member(*json, "kernels");
  speeds.threads = static_cast<int>(number_member(*json, "threads"));
  if (text_member(*json, "version") != HEARTH_VERSION ||
      number_member(*json, "form") != stored_form)
    return std::nullopt;  // kernels become faster
  // A home may be on several machines.
  if (speeds.processor != hardware::read_cpu().brand || speeds.threads != hardware::usable_cores())
    return std::nullopt;
  for (const Json& one : list_of(*json, "memory"))
    speeds.memory.push_back(
        {static_cast<int>(number_member(one, "threads")), number_member(one, "bytes_per_second")});
  for (const Json& one : list_of(*json, "tables"))
    speeds.tables.push_back({text_member(one, "name"), number_member(one, "whole_per_second"),
                             number_member(one, "float_per_second")});
  for (const Json& one : list_of(*json, "weights"))
    speeds.weights.push_back({text_member(one, "dtype"), number_member(one, "bytes_per_second")});
  speeds.layer_seconds = number_member(*json, "layer_seconds");
  speeds.logit_seconds = number_member(*json, "logit_seconds");
  speeds.disk_write_bytes_per_second = number_member(*json, "disk_write_bytes_per_second");
  speeds.disk_read_bytes_per_second = number_member(*json, "disk_read_bytes_per_second");
  speeds.disk_random_reads_per_second = number_member(*json, "disk_random_reads_per_second");
  speeds.seconds = number_member(*json, "seconds");
  speeds.measured_seconds = static_cast<std::int64_t>(number_member(*json, "measured"));
  return speeds;
}

namespace {

// Of weights of one type; 0: nothing was measured.
double rate_of(const MachineSpeeds& speeds, std::string_view dtype) {
  for (const auto& [type, like] : read_alike)
    if (dtype == type) dtype = like;
  double slowest = 0;
  for (const MachineSpeeds::Weights& one : speeds.weights) {
    if (one.dtype == dtype) return one.bytes_per_second;
    slowest = slowest == 0 ? one.bytes_per_second : std::min(slowest, one.bytes_per_second);
  }
  return slowest;
}

// The type whose rate is measured that such panels are read like.
std::string_view read_like(kernels::Panel panel) {
  using kernels::Panel;
  switch (panel) {
    case Panel::q4_0:
      return "q4_0";
    case Panel::q5_0:
      return "q5_0";
    case Panel::grid:
      return "iq4_xs";
    default:
      return "q6_k";
  }
}

// A type without kernels of its own is read as what it becomes, and what that leaves out as f32.
void add_reading(TokenWork& work, Dtype dtype, double bytes) {
  const ops::Recoding* recoding = ops::recoding_of(dtype);
  if (recoding == nullptr) {
    work.weight_bytes[std::string(name_of(dtype))] += bytes;
    return;
  }
  const DtypeInfo& from = info(dtype);
  const double blocks = bytes / from.block_bytes;
  work.weight_bytes[std::string(read_like(recoding->panel))] +=
      blocks * static_cast<double>(recoding->block_bytes);
  if (recoding->group_columns > 0)
    work.weight_bytes[std::string(name_of(Dtype::f32))] +=
        blocks * from.block_elements / static_cast<double>(recoding->group_columns) * sizeof(float);
}

// Of experts, those that a token is sent to.
double share_of_experts(const Package& package) {
  const auto first_of = [&](std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names)
      if (const double count = number_member(package.config, name); count > 0) return count;
    return 0.0;
  };
  const std::string architecture(package.metadata.string("general.architecture").value_or(""));
  const auto count = [&](std::string_view name) {
    return static_cast<double>(
        package.metadata.integer(fmt::format("{}.{}", architecture, name)).value_or(0));
  };
  const bool is_gguf = !package.config.is_object();
  const double experts = is_gguf
                             ? count("expert_count")
                             : first_of({"num_local_experts", "num_experts", "n_routed_experts"});
  const double used = is_gguf ? count("expert_used_count") : first_of({"num_experts_per_tok"});
  return experts > 0 && used > 0 && used < experts ? used / experts : 1;
}

}  // namespace

double expected_tokens_per_second(const MachineSpeeds& speeds, const TokenWork& work) {
  double seconds = work.layers * speeds.layer_seconds +
                   static_cast<double>(work.vocabulary) * speeds.logit_seconds;
  for (const auto& [dtype, bytes] : work.weight_bytes) {
    const double rate = rate_of(speeds, dtype);
    if (rate <= 0) return 0;
    seconds += bytes / rate;
  }
  return seconds > 0 ? 1 / seconds : 0;
}

double four_bit_bytes_per_second(const MachineSpeeds& speeds) {
  const double share = q6_k_share_of_four_bits;
  return expected_tokens_per_second(speeds,
                                    {.weight_bytes = {{"q4_k", 1 - share}, {"q6_k", share}}});
}

TokenWork work_per_token(const Package& package, const ModelInfo& info) {
  const double asked = share_of_experts(package);
  const bool has_head = package.find("output.weight") || package.find("lm_head.weight");
  TokenWork work{.weight_bytes = {},
                 .layers = info.layers,
                 .vocabulary = static_cast<std::uint64_t>(info.vocabulary)};
  for (const TensorEntry& tensor : package.tensors) {
    const bool is_table =
        tensor.name == "token_embd.weight" || tensor.name.ends_with("embed_tokens.weight");
    if ((is_table && has_head) || tensor.shape.size() < 2) continue;
    const bool is_expert = tensor.name.contains("_exps.") || tensor.name.contains(".experts.");
    const double bytes = static_cast<double>(tensor.bytes()) * (is_expert ? asked : 1);
    add_reading(work, tensor.dtype, bytes);
  }
  return work;
}

MachineFigures figures_of(const MachineSpeeds& speeds) {
  return {
      .memory_bytes = memory_for_models(hardware::read_memory()),
      .read_bytes_per_second = speeds.memory.empty() ? 0 : speeds.memory.back().bytes_per_second,
      .weights_bytes_per_second = four_bit_bytes_per_second(speeds)};
}

}  // namespace hearth
