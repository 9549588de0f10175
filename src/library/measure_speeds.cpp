#include "library/measure_speeds.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <ctime>
#include <functional>
#include <optional>

#include "base/files.h"
#include "base/store_files.h"
#include "hardware/bandwidth.h"
#include "hardware/cpu.h"
#include "kernels/select.h"
#include "library/sample_model.h"
#include "ops/matrix.h"
#include "runtime/candidates.h"

namespace hearth {
namespace {

constexpr std::size_t inputs = 2048;  // of each matrix, and outputs of those of one thread
constexpr std::size_t large_bytes = 16u << 20;  // of a matrix whose beginning and end do not count
constexpr std::uint64_t least_spread_bytes = 48u << 20, most_spread_bytes = 512u << 20;
constexpr std::size_t disk_bytes = 64u << 20, disk_block_bytes = 4096;
constexpr int rounds = 4;
constexpr double most_seconds_of_rounds = 0.2;  // on slow machines; one is counted at least
constexpr int most_passes = 4;                  // through all types, as far as there is time
constexpr double seconds_of_passes = 5;
constexpr std::size_t vocabulary = 128 << 10;

// Types that language models are read as.
constexpr Dtype weight_types[] = {Dtype::q4_k,   Dtype::q6_k,  Dtype::q4_0, Dtype::q8_0,
                                  Dtype::q5_0,   Dtype::q5_k,  Dtype::f16,  Dtype::bf16,
                                  Dtype::iq4_xs, Dtype::mxfp4, Dtype::f32};

double read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}
double now_seconds() { return read_clock(CLOCK_MONOTONIC); }

}  // namespace

double idle_rate(std::vector<double> rates) {
  std::sort(rates.begin(), rates.end(), std::greater<>());
  return rates.empty() ? 0 : rates[rates.size() / 4];
}

WorkClock::WorkClock(int threads)
    : threads_(threads), processor_(read_clock(CLOCK_PROCESS_CPUTIME_ID)), wall_(now_seconds()) {}
double WorkClock::seconds() const {
  const double worked = (read_clock(CLOCK_PROCESS_CPUTIME_ID) - processor_) / threads_;
  return std::min(worked, now_seconds() - wall_);
}

namespace {

// Words that are ordinary numbers whatever type they are read as.
std::vector<std::byte> some_weights(Dtype dtype, std::size_t rows, std::size_t columns) {
  std::vector<std::byte> bytes(byte_size(dtype, rows * columns).value());
  std::uint64_t state = 1;
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t word = (state & 0x83FF83FF83FF83FFu) | 0x3800380038003800u;
    std::memcpy(bytes.data() + i, &word, 8);
  }
  return bytes;
}

// Of weights, to be past the caches of one processor: of twice their size a third was still found
// there.
std::uint64_t spread_bytes() {
  std::uint64_t largest = 0;
  for (const hardware::Cache& cache : hardware::read_cpu().caches)
    largest = std::max(largest, cache.bytes);
  return std::clamp(8 * largest, least_spread_bytes, most_spread_bytes);
}

// Matrices of one shape, more than caches hold, multiplied one after the other.
class Weights {
 public:
  static Result<Weights> prepare(ops::Context& ctx, Dtype dtype, std::size_t rows,
                                 std::size_t columns, std::uint64_t spread) {
    Weights weights;
    weights.rows_ = rows;
    weights.columns_ = columns;
    const std::vector<std::byte> bytes = some_weights(dtype, rows, columns);
    weights.bytes_ = bytes.size();
    const ops::StoredMatrix stored{dtype, rows, columns, bytes};
    weights.matrices_.push_back(TRY(ops::Matrix::prepare(ctx, stored)));
    if (weights.matrices_.front().borrows()) {
      weights.stored_ = bytes;
      weights.matrices_.clear();
      weights.matrices_.push_back(
          TRY(ops::Matrix::prepare(ctx, {dtype, rows, columns, weights.stored_})));
      return weights;
    }
    const std::vector<ops::StoredMatrix> others(spread / bytes.size(), stored);
    for (ops::Matrix& matrix : TRY(ops::Matrix::prepare_all(ctx, others)))
      weights.matrices_.push_back(std::move(matrix));
    return weights;
  }

  // Seconds of each round's products.
  Result<std::vector<double>> product_seconds(ops::Context& ctx, std::stop_token stop) const {
    std::vector<float> x(columns_, 0.01f), y(rows_);
    std::vector<double> seconds;
    const double began = now_seconds();
    for (int round = 0; round < rounds + 1; ++round) {
      if (stop.stop_requested()) return Error(ErrorKind::cancelled, "stopped");
      if (seconds.size() > 1 && now_seconds() - began > most_seconds_of_rounds) break;
      const WorkClock clock(ctx.pool->threads());
      for (const ops::Matrix& matrix : matrices_)
        ops::matmul(ctx, View(y.data(), 1, rows_), View(x.data(), 1, columns_), matrix);
      seconds.push_back(clock.seconds() / static_cast<double>(matrices_.size()));
    }
    seconds.erase(seconds.begin());  // it warmed up
    return seconds;
  }

  double bytes() const { return static_cast<double>(bytes_); }  // of one matrix

 private:
  std::size_t rows_ = 0, columns_ = 0, bytes_ = 0;
  std::vector<std::byte> stored_;
  std::vector<ops::Matrix> matrices_;
};

// Bytes of weights per second, one row of inputs at a time.
Status add_weights_rates(ops::Context& ctx, Dtype dtype, std::uint64_t spread, std::stop_token stop,
                         std::vector<double>& rates) {
  const std::uint64_t row_bytes = byte_size(dtype, inputs).value();
  const bool is_computed = dtype == weight_types[std::size(weight_types) - 1];
  const std::size_t rows = (is_computed ? 1u << 20 : large_bytes) / row_bytes / 16 * 16;
  const auto weights = TRY(Weights::prepare(ctx, dtype, rows, inputs, spread));
  for (const double seconds : TRY(weights.product_seconds(ctx, stop)))
    rates.push_back(weights.bytes() / seconds);
  return Done{};
}

// Operations per second of one thread: many rows through one matrix.
Result<double> product_rate(const kernels::Kernels& table, Dtype dtype) {
  constexpr std::size_t rows = 64;
  ThreadPool one(1);
  ops::Context ctx{.kernels = &table, .pool = &one};
  const std::vector<std::byte> bytes = some_weights(dtype, inputs, inputs);
  const ops::Matrix matrix = TRY(ops::Matrix::prepare(ctx, {dtype, inputs, inputs, bytes}));
  std::vector<float> x(rows * inputs, 0.01f), y(rows * inputs);
  double best = 0;
  for (int round = 0; round < rounds - 1; ++round) {
    const WorkClock clock(1);
    ops::matmul(ctx, View(y.data(), rows, inputs), View(x.data(), rows, inputs), matrix);
    const double operations = 2.0 * static_cast<double>(rows * inputs) * inputs;
    best = std::max(best, operations / clock.seconds());
  }
  return best;
}

// Blocks all over the file, one after the other, for a third of a second.
void measure_random_reading(const std::string& path, MachineSpeeds& speeds) {
  // Not every file system reads past its cache.
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
  if (descriptor < 0) descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM);
  alignas(disk_block_bytes) static thread_local std::byte block[disk_block_bytes];
  std::uint64_t state = 1;
  int reads = 0;
  const double began = now_seconds();
  double seconds = 0;
  for (; seconds < 0.3 && reads < 20000; seconds = now_seconds() - began, ++reads) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto at = static_cast<off_t>((state >> 33) % (disk_bytes / disk_block_bytes));
    if (::pread(descriptor, block, disk_block_bytes, at * off_t{disk_block_bytes}) <= 0) break;
  }
  if (seconds > 0) speeds.disk_random_reads_per_second = reads / seconds;
  ::close(descriptor);
}

// Past the system's cache of files, as far as it lets go of it.
void measure_reading(const std::string& path, MachineSpeeds& speeds) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  std::vector<std::byte> piece(4u << 20);
  const double began = now_seconds();
  while (::read(descriptor, piece.data(), piece.size()) > 0) continue;
  speeds.disk_read_bytes_per_second = disk_bytes / (now_seconds() - began);
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  ::close(descriptor);
  measure_random_reading(path, speeds);
}

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
  measure_reading(path, speeds);
  return remove_all(path);
}

}  // namespace

Result<std::vector<MachineSpeeds::Weights>> measure_weights(ops::Context& ctx,
                                                            std::span<const Dtype> types,
                                                            std::stop_token stop) {
  const std::uint64_t spread = spread_bytes();
  std::vector<std::vector<double>> rates(types.size());
  const double began = now_seconds();
  // Other programs come and go: a machine is calm in some of the passes.
  for (int pass = 0; pass < most_passes; ++pass) {
    const double so_far = now_seconds() - began;
    if (pass > 0 && so_far + so_far / pass > seconds_of_passes) break;
    for (std::size_t i = 0; i < types.size(); ++i)
      TRY(add_weights_rates(ctx, types[i], spread, stop, rates[i]));
  }
  std::vector<MachineSpeeds::Weights> weights;
  for (std::size_t i = 0; i < types.size(); ++i)
    weights.push_back({std::string(name_of(types[i])), idle_rate(std::move(rates[i]))});
  return weights;
}

Result<std::vector<double>> measure_tokens(Runner& runner, int threads, int round, int tokens) {
  GenerateRequest request;
  constexpr int prompt_tokens = 4, first_word = 300;  // past the control tokens of vocabularies
  for (int i = 0; i < prompt_tokens; ++i)
    request.prompt.push_back(static_cast<Token>(first_word + 7 * round + i));
  request.sampling.temperature = 0;
  request.max_tokens = tokens;
  request.ignore_end = true;
  request.speculate = false;
  request.logprobs = true;  // an event for each token
  std::optional<WorkClock> clock;
  std::vector<double> seconds;
  std::optional<Error> error;
  std::atomic<bool> done = false;
  TRY(runner.submit(std::move(request), [&](const Event& event) {
    for (std::size_t i = 0; i < event.tokens.size(); ++i) {
      if (clock) seconds.push_back(clock->seconds());
      clock.emplace(threads);
    }
    if (!event.last) return;
    error = event.error;
    done = true;
    done.notify_one();
  }));
  done.wait(false);
  if (error) return *error;
  return seconds;
}

Result<double> measure_layer_seconds(const MachineSpeeds& speeds, const kernels::Kernels& kernels,
                                     std::shared_ptr<ThreadPool> pool) {
  const Package package = TRY(make_sample_model());
  ops::Context ctx{.kernels = &kernels, .pool = pool.get()};
  std::shared_ptr<const Model> model = TRY(load_model(ctx, package));
  const ModelInfo info = model->info();
  const auto runner = TRY(make_runner(std::move(model), kernels, std::move(pool)));
  std::vector<double> rates;
  constexpr int answers = 8, tokens = 32;
  for (int round = 0; round < answers; ++round)
    for (const double seconds : TRY(measure_tokens(*runner, speeds.threads, round, tokens)))
      rates.push_back(1 / seconds);
  TokenWork reading = work_per_token(package, info);
  reading.layers = 0;
  const double expected = expected_tokens_per_second(speeds, reading);
  const double beyond = 1 / idle_rate(std::move(rates)) - (expected > 0 ? 1 / expected : 0);
  return std::max(0.0, beyond) / std::max(1u, info.layers);
}

double measure_logit_seconds() {
  std::vector<float> logits(vocabulary);
  std::uint32_t state = 1;
  for (float& logit : logits) {
    state = state * 1664525u + 1013904223u;
    logit = static_cast<float>(state >> 8) * 0x1p-20f;
  }
  std::vector<double> rates;
  for (int round = 0; round < 8 * rounds; ++round) {
    const WorkClock clock(1);
    (void)summarise(logits);
    rates.push_back(1 / clock.seconds());
  }
  return 1 / idle_rate(std::move(rates)) / vocabulary;
}

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
  const auto pool = std::make_shared<ThreadPool>(speeds.threads);
  ops::Context ctx{.kernels = table, .pool = pool.get()};
  speeds.weights = TRY(measure_weights(ctx, weight_types, stop));
  speeds.logit_seconds = measure_logit_seconds();
  if (is_stopped()) return Error(ErrorKind::cancelled, "stopped");
  speeds.layer_seconds = TRY(measure_layer_seconds(speeds, *table, pool));
  tell("disk");
  if (is_stopped()) return Error(ErrorKind::cancelled, "stopped");
  // A folder that cannot be written has no speed.
  (void)measure_disk(folders.models, speeds).ok();
  speeds.seconds = now_seconds() - began;
  return speeds;
}

}  // namespace hearth
