#include "library/machine_speeds.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "base/bytes.h"
#include "base/files.h"
#include "base/store_files.h"
#include "hardware/bandwidth.h"
#include "hardware/cpu.h"
#include "hardware/memory.h"
#include "kernels/select.h"
#include "library/catalog.h"
#include "ops/matrix.h"

namespace hearth {
namespace {

constexpr std::uint64_t max_file_bytes = 1u << 20;
constexpr std::size_t inputs = 2048;                // of each matrix; as many outputs
constexpr std::uint64_t spread_bytes = 160u << 20;  // of weights, past every cache
constexpr std::size_t disk_bytes = 64u << 20;
constexpr int rounds = 3;
// Beside its weights a token passes through attention, norms and sampling.
constexpr double share_of_weights = 0.92;

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

// Bytes of weights per second, one row of inputs at a time.
Result<double> weights_rate(ops::Context& ctx, Dtype dtype, std::stop_token stop) {
  const std::vector<std::byte> bytes = some_weights(dtype);
  std::vector<ops::Matrix> matrices;
  while (matrices.size() * bytes.size() < spread_bytes)
    matrices.push_back(TRY(ops::Matrix::prepare(ctx, {dtype, inputs, inputs, bytes})));
  std::vector<float> x(inputs, 0.01f), y(inputs);
  double best = 0;
  for (int round = 0; round < rounds + 1; ++round) {
    if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
    const WorkClock clock(ctx.pool->threads());
    for (const ops::Matrix& matrix : matrices)
      ops::matmul(ctx, View(y.data(), 1, inputs), View(x.data(), 1, inputs), matrix);
    best = std::max(best, static_cast<double>(matrices.size() * bytes.size()) / clock.seconds());
  }
  return best;
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

double number(const Json& json, std::string_view name) {
  const Json* value = json.find(name);
  return value && value->is_number() ? value->as_number() : 0;
}
std::string word(const Json& json, std::string_view name) {
  const Json* value = json.find(name);
  return value && value->is_string() ? value->as_string() : "";
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
  for (const Dtype dtype : {Dtype::q4_k, Dtype::q8_0, Dtype::f16})
    speeds.weights.push_back({std::string(name_of(dtype)), TRY(weights_rate(ctx, dtype, stop))});
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
  return Json::object({{"processor", speeds.processor},
                       {"kernels", speeds.kernels},
                       {"threads", speeds.threads},
                       {"memory", std::move(memory)},
                       {"tables", std::move(tables)},
                       {"weights", std::move(weights)},
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
  speeds.processor = word(*json, "processor");
  speeds.kernels = word(*json, "kernels");
  speeds.threads = static_cast<int>(number(*json, "threads"));
  // A home may be on several machines.
  if (speeds.processor != hardware::read_cpu().brand || speeds.threads != hardware::usable_cores())
    return std::nullopt;
  for (const Json& one : list_of(*json, "memory"))
    speeds.memory.push_back(
        {static_cast<int>(number(one, "threads")), number(one, "bytes_per_second")});
  for (const Json& one : list_of(*json, "tables"))
    speeds.tables.push_back(
        {word(one, "name"), number(one, "whole_per_second"), number(one, "float_per_second")});
  for (const Json& one : list_of(*json, "weights"))
    speeds.weights.push_back({word(one, "dtype"), number(one, "bytes_per_second")});
  speeds.disk_write_bytes_per_second = number(*json, "disk_write_bytes_per_second");
  speeds.disk_read_bytes_per_second = number(*json, "disk_read_bytes_per_second");
  speeds.seconds = number(*json, "seconds");
  speeds.measured_seconds = static_cast<std::int64_t>(number(*json, "measured"));
  return speeds;
}

double expected_tokens_per_second(const MachineSpeeds& speeds, std::string_view dtype,
                                  std::uint64_t bytes_per_token) {
  double rate = 0;
  for (const MachineSpeeds::Weights& one : speeds.weights) {
    if (one.dtype == dtype) {
      rate = one.bytes_per_second;
      break;
    }
    rate = rate == 0 ? one.bytes_per_second : std::min(rate, one.bytes_per_second);
  }
  return bytes_per_token > 0 ? share_of_weights * rate / static_cast<double>(bytes_per_token) : 0;
}

std::uint64_t bytes_per_token(const Package& package) {
  const std::string architecture(package.metadata.string("general.architecture").value_or(""));
  const auto count = [&](std::string_view name) {
    return static_cast<double>(
        package.metadata.integer(fmt::format("{}.{}", architecture, name)).value_or(0));
  };
  const double experts = count("expert_count"), used = count("expert_used_count");
  const bool has_head = package.find("output.weight") || package.find("lm_head.weight");
  double bytes = 0;
  for (const TensorEntry& tensor : package.tensors) {
    const bool is_table =
        tensor.name == "token_embd.weight" || tensor.name.ends_with("embed_tokens.weight");
    if (is_table && has_head) continue;
    const bool is_expert = tensor.name.contains("_exps.") && experts > 0 && used > 0;
    bytes += static_cast<double>(tensor.bytes()) * (is_expert ? used / experts : 1);
  }
  return static_cast<std::uint64_t>(bytes);
}

MachineFigures figures_of(const MachineSpeeds& speeds) {
  return {
      .memory_bytes = memory_for_models(hardware::read_memory()),
      .read_bytes_per_second = speeds.memory.empty() ? 0 : speeds.memory.back().bytes_per_second,
      .weights_bytes_per_second = expected_tokens_per_second(speeds, "q4_k", 1)};
}

}  // namespace hearth
