// Speed and recall of one index on given data, as lines of JSON: bench/vectors/run.py drives it.
#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "vectors/flat/flat.h"
#include "vectors/graph/hnsw.h"
#include "vectors/ivf/ivf.h"
#include "vectors/learned/learned.h"
#include "vectors/make_index.h"

namespace hearth::vectors {
namespace {

struct Options {
  std::string data, queries, truth, index = "ivf", save, open, targets = "0.9,0.95,0.99";
  std::string metric = "l2";
  bool floats = true, batch = false, mapped = false, plans = false, alone = false;
  std::size_t lists = 0, limit = 0, batch_rows = 0, breadth = 0, sample_rows = 0, first = 0;
  int threads = 1, rounds = 3, bits = 1;
  float filter = 1;
};

double cpu_seconds() {
  timespec now;
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// fvecs: rows of a count and so many floats; used where they are mapped.
struct Rows {
  std::shared_ptr<const MappedFile> file;
  std::size_t dim = 0, count = 0;

  const float* at(std::size_t i) const {
    return reinterpret_cast<const float*>(file->bytes().data() + i * (4 + 4 * dim)) + 1;
  }
  std::vector<float> copy(std::size_t first, std::size_t n) const {
    std::vector<float> values(n * dim);
    for (std::size_t i = 0; i < n; ++i)
      std::memcpy(&values[i * dim], at(first + i), dim * sizeof(float));
    return values;
  }
};

Result<Rows> open_rows(const std::string& path) {
  Rows rows;
  rows.file = TRY(MappedFile::open(path));
  std::int32_t dim = 0;
  if (rows.file->bytes().size() < 4) return Error(ErrorKind::invalid, path + ": empty");
  std::memcpy(&dim, rows.file->bytes().data(), 4);
  if (dim <= 0 || rows.file->bytes().size() % (4 + 4 * static_cast<std::size_t>(dim)) != 0)
    return Error(ErrorKind::invalid, path + ": not a file of fvecs");
  rows.dim = static_cast<std::size_t>(dim);
  rows.count = rows.file->bytes().size() / (4 + 4 * rows.dim);
  return rows;
}

Options parse(int argc, char** argv) {
  Options o;
  const std::map<std::string, std::string*> texts = {
      {"--data", &o.data},       {"--queries", &o.queries}, {"--truth", &o.truth},
      {"--index", &o.index},     {"--save", &o.save},       {"--open", &o.open},
      {"--targets", &o.targets}, {"--metric", &o.metric}};
  const std::map<std::string, std::size_t*> numbers = {{"--lists", &o.lists},
                                                       {"--limit", &o.limit},
                                                       {"--batch-rows", &o.batch_rows},
                                                       {"--breadth", &o.breadth},
                                                       {"--sample-rows", &o.sample_rows},
                                                       {"--first", &o.first}};
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (texts.contains(name)) {
      *texts.at(name) = value;
    } else if (numbers.contains(name)) {
      *numbers.at(name) = static_cast<std::size_t>(std::atoll(value));
    } else if (name == "--threads") {
      o.threads = std::atoi(value);
    } else if (name == "--rounds") {
      o.rounds = std::atoi(value);
    } else if (name == "--bits") {
      o.bits = std::atoi(value);
    } else if (name == "--filter") {
      o.filter = static_cast<float>(std::atof(value));
    } else {
      o.floats = o.floats && name != "--no-floats";
      o.batch = o.batch || name == "--batch";
      o.mapped = o.mapped || name == "--mapped";
      o.plans = o.plans || name == "--plans";
      o.alone = o.alone || name == "--alone";
      continue;
    }
    ++i;
  }
  return o;
}

Metric metric_of(const std::string& name) {
  return name == "l2" ? Metric::l2 : name == "ip" ? Metric::inner_product : Metric::cosine;
}

Result<std::unique_ptr<Index>> make_index(const Options& o, std::size_t dim) {
  const Residence residence = o.mapped ? Residence::mapped : Residence::loaded;
  if (!o.open.empty() && o.index == "ivf") {
    auto ivf = TRY(Ivf::open(o.open, residence, o.threads));
    return std::unique_ptr<Index>(std::move(ivf));
  }
  if (!o.open.empty())
    return o.index == "hnsw" ? Hnsw::open(o.open, residence) : open_index(o.open);
  if (o.index == "hnsw" || o.index == "learned") {
    IndexSpec spec;
    spec.kind = o.index;
    spec.dim = dim;
    spec.metric = metric_of(o.metric);
    spec.threads = o.threads;
    return hearth::vectors::make_index(spec);
  }
  if (o.index == "flat")
    return make_flat({.dim = dim, .metric = metric_of(o.metric), .threads = o.threads});
  IvfSpec spec;
  spec.dim = dim;
  spec.metric = metric_of(o.metric);
  spec.lists = o.lists;
  spec.keep_floats = o.floats;
  spec.threads = o.threads;
  spec.code_bits = o.bits;
  auto ivf = TRY(Ivf::create(spec));
  return std::unique_ptr<Index>(std::move(ivf));
}

Status build(Index& index, const Options& o, const Rows& data) {
  const double start = cpu_seconds();
  const std::size_t n = o.limit > 0 ? std::min(o.limit, data.count) : data.count;
  const std::size_t step = o.batch_rows > 0 ? o.batch_rows : n;
  if (o.sample_rows > 0) {
    Reservoir sample(data.dim, o.sample_rows, 1);
    for (std::size_t i = 0; i < n; ++i) sample.offer({data.at(i), data.dim});
    TRY(index.learn_sample(sample.rows(), n, {}, {}));
  }
  for (std::size_t first = 0; first < n; first += step) {
    const std::size_t count = std::min(step, n - first);
    std::vector<Row> rows(count);
    for (std::size_t i = 0; i < count; ++i) rows[i] = static_cast<Row>(first + i);
    TRY(index.add(rows, data.copy(first, count)));
    TRY(index.maintain({}));
  }
  fmt::print("{{\"build_cpu_s\": {:.2f}, \"rows\": {}}}\n", cpu_seconds() - start, n);
  std::fflush(stdout);
  return Done{};
}

// truth: ivecs beside the queries.
double recall_of(const std::vector<std::vector<Hit>>& answers,
                 const std::vector<std::int32_t>& truth, std::size_t stride) {
  constexpr std::size_t k = 10;
  std::size_t found = 0;
  for (std::size_t q = 0; q < answers.size(); ++q)
    for (const Hit& hit : answers[q])
      for (std::size_t i = 0; i < k; ++i)
        found += truth[q * stride + 1 + i] == static_cast<std::int32_t>(hit.row);
  return static_cast<double>(found) / static_cast<double>(k * answers.size());
}

Status measure(const Index& index, const Options& o, const Rows& queries) {
  std::vector<std::int32_t> truth;
  std::size_t stride = 1;
  if (!o.truth.empty()) {
    const std::string raw = TRY(read_file(o.truth, 1u << 30));
    truth.resize(raw.size() / 4);
    std::memcpy(truth.data(), raw.data(), truth.size() * 4);
    stride = static_cast<std::size_t>(truth[0]) + 1;
  }
  const std::vector<float> all = queries.copy(0, queries.count);
  std::vector<std::uint64_t> words;
  RowFilter filter{};
  if (o.filter < 1) {  // every so many-th row
    const std::size_t rows = index.info().rows;
    const std::size_t step = static_cast<std::size_t>(1 / o.filter + 0.5f);
    words.resize(rows / 64 + 1);
    std::size_t allowed = 0;
    for (std::size_t row = 0; row < rows; row += step, ++allowed)
      words[row / 64] |= 1ull << (row % 64);
    filter = {words, allowed};
  }
  std::size_t at = 0;
  while (at < o.targets.size()) {
    SearchOptions options;
    options.breadth = o.breadth;
    options.target_recall = std::stof(o.targets.substr(at));
    if (o.filter < 1) options.filter = &filter;
    options.is_alone = o.alone;
    at = std::min(o.targets.find(',', at), o.targets.size() - 1) + 1;
    std::vector<std::vector<Hit>> answers(queries.count);
    double best = 1e9, best_wall = 1e9;
    for (int round = 0; round < o.rounds; ++round) {
      const double start = cpu_seconds(), began = wall_seconds();
      if (o.batch)
        answers = TRY(index.search_batch(all, options));
      else
        for (std::size_t q = 0; q < queries.count; ++q)
          answers[q] =
              TRY(index.search(std::span(all).subspan(q * queries.dim, queries.dim), options));
      best = std::min(best, cpu_seconds() - start);
      best_wall = std::min(best_wall, wall_seconds() - began);
    }
    const IndexInfo info = index.info();
    fmt::print(
        "{{\"target\": {}, \"recall\": {:.4f}, \"qps\": {:.0f}, \"wall_us\": {:.1f}, "
        "\"memory_mb\": {:.0f}, \"mapped_mb\": {:.0f}}}\n",
        options.target_recall, truth.empty() ? -1 : recall_of(answers, truth, stride),
        static_cast<double>(queries.count) / best,
        1e6 * best_wall / static_cast<double>(queries.count),
        static_cast<double>(info.memory_bytes) / 1e6, static_cast<double>(info.mapped_bytes) / 1e6);
    std::fflush(stdout);
  }
  return Done{};
}

Status run(const Options& o) {
  Rows queries = TRY(open_rows(o.queries));
  if (o.first > 0) queries.count = std::min(queries.count, o.first);
  std::unique_ptr<Index> index = TRY(make_index(o, queries.dim));
  if (o.open.empty()) {
    const Rows data = TRY(open_rows(o.data));
    TRY(build(*index, o, data));
  }
  if (!o.open.empty() && !o.mapped && o.index == "ivf") TRY(index->maintain({}));
  fmt::print("{{\"info\": \"{}\"}}\n", index->info().explanation);
  if (const auto* ivf = dynamic_cast<const Ivf*>(index.get()); ivf != nullptr && o.plans)
    for (const TunedPlan& tuned : ivf->state()->tuning->plans)
      fmt::print(
          "{{\"plan\": {}, \"gap\": {}, \"candidates\": {}, \"exact\": {}, \"lists\": {}, "
          "\"rows\": {}, \"depth\": {}, \"power\": {}, \"weights\": [{}, {}]}}\n",
          tuned.target, tuned.plan.gap, tuned.plan.candidates, tuned.plan.exact, tuned.lists,
          tuned.rows, tuned.plan.depth, tuned.plan.model.power, tuned.plan.model.weights[0],
          tuned.plan.model.weights[1]);
  if (!o.save.empty()) TRY(index->save(o.save));
  return measure(*index, o, queries);
}

}  // namespace
}  // namespace hearth::vectors

int main(int argc, char** argv) {
  const auto status = hearth::vectors::run(hearth::vectors::parse(argc, argv));
  if (!status.ok()) fmt::print(stderr, "{}\n", status.error().message());
  return status.ok() ? 0 : 1;
}
