// Searches beside a writer that replaces a fifth of the rows: what readers notice, and what recall
// is left beside an index built anew.  A line of JSON; bench/vectors/run.py shows it.
// mixed_bench ROWS.fvecs QUERIES.fvecs KIND [ROWS]
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/files.h"
#include "vectors/flat/flat.h"
#include "vectors/make_index.h"

namespace hearth::vectors {
namespace {

using Clock = std::chrono::steady_clock;

struct Vectors {
  std::size_t dim = 0, count = 0;
  std::vector<float> values;
  std::span<const float> part(std::size_t first, std::size_t n) const {
    return std::span(values).subspan(first * dim, n * dim);
  }
};

Result<Vectors> read(const std::string& path, std::size_t most) {
  const auto file = TRY(MappedFile::open(path));
  std::int32_t dim = 0;
  if (file->bytes().size() < 4) return Error(ErrorKind::invalid, path + ": empty");
  std::memcpy(&dim, file->bytes().data(), 4);
  if (dim <= 0) return Error(ErrorKind::invalid, path + ": not a file of fvecs");
  Vectors made;
  made.dim = static_cast<std::size_t>(dim);
  const std::size_t stride = 4 + 4 * made.dim;
  made.count = std::min(most, file->bytes().size() / stride);
  made.values.resize(made.count * made.dim);
  for (std::size_t i = 0; i < made.count; ++i)
    std::memcpy(&made.values[i * made.dim], file->bytes().data() + i * stride + 4, 4 * made.dim);
  return made;
}

std::vector<Row> rows_from(std::size_t first, std::size_t n) {
  std::vector<Row> rows(n);
  for (std::size_t i = 0; i < n; ++i) rows[i] = static_cast<Row>(first + i);
  return rows;
}

struct Reading {
  std::size_t searches = 0;
  long waits = 0;  // how often the thread gave up its processor
  std::vector<double> microseconds;
  double at(double share) {
    std::sort(microseconds.begin(), microseconds.end());
    return microseconds[static_cast<std::size_t>(share * static_cast<double>(searches - 1))];
  }
};

template <typename Until>
Reading read_until(const Index& index, const Vectors& queries, Until done) {
  Reading reading;
  rusage before, after;
  ::getrusage(RUSAGE_THREAD, &before);
  for (std::size_t q = 0; !done(reading.searches); q = (q + 1) % queries.count) {
    const auto start = Clock::now();
    (void)index.search(queries.part(q, 1), {});
    reading.microseconds.push_back(
        std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    ++reading.searches;
  }
  ::getrusage(RUSAGE_THREAD, &after);
  reading.waits = after.ru_nvcsw - before.ru_nvcsw;
  return reading;
}

double recall(const Index& index, const Index& exact, const Vectors& queries) {
  std::size_t found = 0;
  for (std::size_t q = 0; q < queries.count; ++q) {
    const auto got = index.search(queries.part(q, 1), {}),
               want = exact.search(queries.part(q, 1), {});
    if (!got.ok() || !want.ok()) return -1;
    for (const Hit& hit : *want)
      found +=
          std::any_of(got->begin(), got->end(), [&](const Hit& h) { return h.row == hit.row; });
  }
  return static_cast<double>(found) / static_cast<double>(10 * queries.count);
}

Status run(const std::string& path, const std::string& queries_path, const std::string& kind,
           std::size_t n) {
  constexpr std::size_t step = 500, steps_between_maintenance = 8;
  const std::size_t changed = n / 5 / step * step;
  const Vectors rows = TRY(read(path, n + changed));
  const Vectors queries = TRY(read(queries_path, 1000));
  IndexSpec spec;
  spec.kind = kind;
  spec.dim = rows.dim;
  spec.threads = 1;
  const auto index = TRY(make_index(spec)), fresh = TRY(make_index(spec));
  TRY(index->add(rows_from(0, n), rows.part(0, n)));
  TRY(index->maintain({}));
  Reading quiet = read_until(*index, queries, [](std::size_t done) { return done >= 3000; });

  std::atomic<bool> finished = false;
  Status written = Done{};
  const auto start = Clock::now();
  std::jthread writer([&] {
    for (std::size_t i = 0; i < changed && written.ok(); i += step) {
      index->remove(rows_from(i, step));
      written = index->add(rows_from(n + i, step), rows.part(n + i, step));
      if (written.ok() && i / step % steps_between_maintenance == 0) written = index->maintain({});
    }
    if (written.ok()) written = index->maintain({});
    finished = true;
  });
  Reading busy = read_until(*index, queries, [&](std::size_t) { return finished.load(); });
  writer.join();
  TRY(std::move(written));
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();

  TRY(fresh->add(rows_from(changed, n), rows.part(changed, n)));
  TRY(fresh->maintain({}));
  const auto exact = make_flat(rows.dim, Metric::l2);
  TRY(exact->add(rows_from(changed, n), rows.part(changed, n)));
  fmt::print(
      "{{\"index\": \"{}\", \"rows\": {}, \"changed\": {}, \"writer_s\": {:.1f}, \"searches\": {}, "
      "\"waits\": {}, \"quiet_us\": [{:.0f}, {:.0f}], \"busy_us\": [{:.0f}, {:.0f}], "
      "\"recall\": {:.4f}, \"fresh_recall\": {:.4f}}}\n",
      kind, n, changed, seconds, busy.searches, busy.waits, quiet.at(0.5), quiet.at(0.99),
      busy.at(0.5), busy.at(0.99), recall(*index, *exact, queries),
      recall(*fresh, *exact, queries));
  return Done{};
}

}  // namespace
}  // namespace hearth::vectors

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const std::size_t rows = argc > 4 ? static_cast<std::size_t>(std::atoll(argv[4])) : 100000;
  const auto done = hearth::vectors::run(argv[1], argv[2], argv[3], rows);
  if (!done.ok()) fmt::print(stderr, "{}\n", done.error().message());
  return done.ok() ? 0 : 1;
}
