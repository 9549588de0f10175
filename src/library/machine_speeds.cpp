#include "library/machine_speeds.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/bytes.h"
#include "base/files.h"
#include "base/store_files.h"
#include "hardware/bandwidth.h"
#include "hardware/cpu.h"
#include "hardware/memory.h"
#include "kernels/select.h"
#include "library/catalog.h"
#include "library/json_members.h"
#include "ops/matrix.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_file_bytes = 1u << 20;
constexpr std::size_t inputs = 2048;  // of each matrix; as many outputs
constexpr std::uint64_t least_spread_bytes = 48u << 20, most_spread_bytes = 512u << 20;
constexpr std::uint64_t computed_spread_bytes = 4u << 20;  // where arithmetic takes longer
constexpr std::size_t disk_bytes = 64u << 20;
constexpr int rounds = 3;

// Types that language models are stored in.  The last ones are unpacked wherever they are used,
// which takes longer than reading them.
constexpr Dtype weight_types[] = {Dtype::q4_k, Dtype::q6_k, Dtype::q4_0,   Dtype::q8_0,
                                  Dtype::q5_0, Dtype::q5_k, Dtype::iq4_xs, Dtype::mxfp4,
                                  Dtype::f16,  Dtype::q3_k, Dtype::q2_k};
// Types that are read as another one is.
constexpr std::pair<std::string_view, std::string_view> read_alike[] = {
    {"f32", "f16"}, {"bf16", "f16"}, {"iq4_nl", "q4_0"}};
// Bytes of a Q4_K_M file, as models of 1 to 14 billion parameters have them: half of the value and
// down matrices and the output are q6_k.
constexpr double q6_k_share_of_four_bits = 0.33;
// A layer has four products (of queries, keys and values; attention's output; gate and up; down),
// and its norms, positions, activations and attention over a short context take about as long as
// three small ones.
constexpr double products_per_layer = 7;
// Of a token's time; the rest are the logits' way to a token and events.
constexpr double share_of_layers = 0.97;

double read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}
double now_seconds() { return read_clock(CLOCK_MONOTONIC); }

// What `threads` threads that work all the time need: other programs that run meanwhile do not
// count.
class WorkClock {
 public:
  explicit WorkClock(int threads) : threads_(threads) {}
  double seconds() const {
    const double worked = (read_clock(CLOCK_PROCESS_CPUTIME_ID) - processor_) / threads_;
    return std::min(worked, now_seconds() - wall_);
  }

 private:
  const int threads_;
  const double processor_ = read_clock(CLOCK_PROCESS_CPUTIME_ID), wall_ = now_seconds();
};

// Words that are ordinary numbers whatever type they are read as.
std::vector<std::byte> some_weights(Dtype dtype) {
  std::vector<std::byte> bytes(byte_size(dtype, inputs * inputs).value());
  std::uint64_t state = 1;
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t word = (state & 0x83FF83FF83FF83FFu) | 0x3800380038003800u;
    std::memcpy(bytes.data() + i, &word, 8);
  }
  return bytes;
}

// Of weights, to be past the caches of one processor.
std::uint64_t spread_bytes() {
  std::uint64_t largest = 0;
  for (const hardware::Cache& cache : hardware::read_cpu().caches)
    largest = std::max(largest, cache.bytes);
  return std::clamp(2 * largest, least_spread_bytes, most_spread_bytes);
}

// Bytes of weights per second, one row of inputs at a time.
Result<double> weights_rate(ops::Context& ctx, Dtype dtype, std::uint64_t spread,
                            std::stop_token stop) {
  const std::vector<std::byte> bytes = some_weights(dtype);
  const ops::StoredMatrix stored{dtype, inputs, inputs, bytes};
  std::vector<ops::Matrix> matrices;
  matrices.push_back(TRY(ops::Matrix::prepare(ctx, stored)));
  const std::uint64_t wanted = matrices.front().borrows() ? computed_spread_bytes : spread;
  const std::vector<ops::StoredMatrix> others(wanted / bytes.size(), stored);
  for (ops::Matrix& matrix : TRY(ops::Matrix::prepare_all(ctx, others)))
    matrices.push_back(std::move(matrix));
  std::vector<float> x(inputs, 0.01f), y(inputs);
  std::vector<double> rates;  // the first one warms up
  for (int round = 0; round < rounds + 1; ++round) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    const WorkClock clock(ctx.pool->threads());
    for (const ops::Matrix& matrix : matrices)
      ops::matmul(ctx, View(y.data(), 1, inputs), View(x.data(), 1, inputs), matrix);
    rates.push_back(static_cast<double>(matrices.size() * bytes.size()) / clock.seconds());
  }
  std::sort(rates.begin() + 1, rates.end());
  return rates[1 + rounds / 2];
}

// Operations per second of one thread: many rows through one matrix.
Result<double> product_rate(const kernels::Kernels& table, Dtype dtype) {
  constexpr std::size_t rows = 64;
  ThreadPool one(1);
  ops::Context ctx{.kernels = &table, .pool = &one};
  const std::vector<std::byte> bytes = some_weights(dtype);
  const ops::Matrix matrix = TRY(ops::Matrix::prepare(ctx, {dtype, inputs, inputs, bytes}));
  std::vector<float> x(rows * inputs, 0.01f), y(rows * inputs);
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    const WorkClock clock(1);
    ops::matmul(ctx, View(y.data(), rows, inputs), View(x.data(), rows, inputs), matrix);
    const double operations = 2.0 * static_cast<double>(rows * inputs) * inputs;
    best = std::max(best, operations / clock.seconds());
  }
  return best;
}

// A product that is over at once: rounding its inputs, starting all threads, waiting for them.
Result<double> smallest_product_seconds(ops::Context& ctx) {
  constexpr std::size_t columns = 512, rows_per_thread = 64, repeats = 64;
  const std::size_t rows = rows_per_thread * static_cast<std::size_t>(ctx.pool->threads());
  const std::vector<std::byte> bytes(byte_size(Dtype::q8_0, rows * columns).value());
  const ops::Matrix matrix = TRY(ops::Matrix::prepare(ctx, {Dtype::q8_0, rows, columns, bytes}));
  std::vector<float> x(columns, 0.01f), y(rows);
  double best = 1;
  for (int round = 0; round < 4 * rounds; ++round) {
    const WorkClock clock(ctx.pool->threads());
    for (std::size_t i = 0; i < repeats; ++i)
      ops::matmul(ctx, View(y.data(), 1, rows), View(x.data(), 1, columns), matrix);
    best = std::min(best, clock.seconds() / repeats);
  }
  return best;
}

// Past the system's cache of files, as far as it lets go of it.
Status measure_disk(const std::string& folder, MachineSpeeds& speeds) {
  const std::string path = join_path(folder, fmt::format(".speed-{}", ::getpid()));
  TRY(make_folders(folder));
  if (free_disk_bytes(folder) < 4 * disk_bytes) return Done{};
  {
    const std::vector<std::byte> bytes(disk_bytes, std::byte{0x5a});
    const double began = now_seconds();
    auto file = TRY(GrowingFile::open(path));
    Status written = file.append(bytes);
    if (written.ok()) written = file.sync();
    speeds.disk_write_bytes_per_second = disk_bytes / (now_seconds() - began);
    if (!written.ok()) {
      (void)remove_all(path).ok();
      return written;
    }
  }
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) {
    ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    std::vector<std::byte> piece(4u << 20);
    const double began = now_seconds();
    while (::read(descriptor, piece.data(), piece.size()) > 0) continue;
    speeds.disk_read_bytes_per_second = disk_bytes / (now_seconds() - began);
    ::close(descriptor);
  }
  return remove_all(path);
}

std::string file_of(const LibraryFolders& folders) {
  return join_path(folders.cache, "machine.json");
}

const Json::Array& list_of(const Json& json, std::string_view name) {
  static const Json::Array none;
  const Json* value = json.find(name);
  return value && value->is_array() ? value->as_array() : none;
}

}  // namespace

Result<MachineSpeeds> measure_speeds(const LibraryFolders& folders, const std::string& kernels,
                                     std::stop_token stop,
                                     const std::function<void(std::string_view what)>& progress) {
  const auto tell = [&](std::string_view what) {
    if (progress) progress(what);
  };
  const auto is_stopped = [&] { return stop.stop_requested(); };
  const double began = now_seconds();
  const kernels::Kernels* table = TRY(kernels::choose(kernels));
  MachineSpeeds speeds{.processor = hardware::read_cpu().brand,
                       .kernels = table->name,
                       .threads = hardware::usable_cores(),
                       .memory = {},
                       .tables = {},
                       .weights = {},
                       .measured_seconds = std::time(nullptr)};
  tell("memory");
  // 1, 2, 4 ... and all: the curve is flat between.
  for (int threads = 1; !is_stopped(); threads = std::min(2 * threads, speeds.threads)) {
    speeds.memory.push_back({threads, hardware::measure_read_bandwidth(threads)});
    if (threads >= speeds.threads) break;
  }
  tell("kernels");
  for (const kernels::Candidate& candidate : kernels::candidates()) {
    if (!candidate.supported() || is_stopped()) continue;
    const double whole = TRY(product_rate(*candidate.table, Dtype::q8_0));
    const double floats = TRY(product_rate(*candidate.table, Dtype::f32));
    speeds.tables.push_back({std::string(candidate.table->name), whole, floats});
  }
  tell("weights");
  ThreadPool pool(speeds.threads);
  ops::Context ctx{.kernels = table, .pool = &pool};
  const std::uint64_t spread = spread_bytes();
  for (const Dtype dtype : weight_types)
    speeds.weights.push_back(
        {std::string(name_of(dtype)), TRY(weights_rate(ctx, dtype, spread, stop))});
  speeds.product_seconds = TRY(smallest_product_seconds(ctx));
  tell("disk");
  if (is_stopped()) return Error(ErrorKind::cancelled, "stopped");
  // A folder that cannot be written has no speed.
  (void)measure_disk(folders.models, speeds).ok();
  speeds.seconds = now_seconds() - began;
  return speeds;
}

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
                       {"processor", speeds.processor},
                       {"kernels", speeds.kernels},
                       {"threads", speeds.threads},
                       {"memory", std::move(memory)},
                       {"tables", std::move(tables)},
                       {"weights", std::move(weights)},
                       {"product_seconds", speeds.product_seconds},
                       {"disk_write_bytes_per_second", speeds.disk_write_bytes_per_second},
                       {"disk_read_bytes_per_second", speeds.disk_read_bytes_per_second},
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
  if (text_member(*json, "version") != HEARTH_VERSION)
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
  speeds.product_seconds = number_member(*json, "product_seconds");
  speeds.disk_write_bytes_per_second = number_member(*json, "disk_write_bytes_per_second");
  speeds.disk_read_bytes_per_second = number_member(*json, "disk_read_bytes_per_second");
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
  double seconds = products_per_layer * work.layers * speeds.product_seconds;
  for (const auto& [dtype, bytes] : work.weight_bytes) {
    const double rate = rate_of(speeds, dtype);
    if (rate <= 0) return 0;
    seconds += bytes / rate;
  }
  return seconds > 0 ? share_of_layers / seconds : 0;
}

double four_bit_bytes_per_second(const MachineSpeeds& speeds) {
  const double share = q6_k_share_of_four_bits;
  return expected_tokens_per_second(
      speeds, {.weight_bytes = {{"q4_k", 1 - share}, {"q6_k", share}}, .layers = 0});
}

TokenWork work_per_token(const Package& package, const ModelInfo& info) {
  const double asked = share_of_experts(package);
  const bool has_head = package.find("output.weight") || package.find("lm_head.weight");
  TokenWork work{.weight_bytes = {}, .layers = info.layers};
  for (const TensorEntry& tensor : package.tensors) {
    const bool is_table =
        tensor.name == "token_embd.weight" || tensor.name.ends_with("embed_tokens.weight");
    if ((is_table && has_head) || tensor.shape.size() < 2) continue;
    const bool is_expert = tensor.name.contains("_exps.") || tensor.name.contains(".experts.");
    work.weight_bytes[std::string(name_of(tensor.dtype))] +=
        static_cast<double>(tensor.bytes()) * (is_expert ? asked : 1);
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
