#include "vectors/make_index.h"

#include <fmt/core.h>

#include <array>
#include <thread>

#include "base/bytes.h"
#include "base/files.h"
#include "vectors/auto.h"
#include "vectors/flat/flat.h"
#include "vectors/graph/hnsw.h"
#include "vectors/hybrid.h"
#include "vectors/ivf/ivf.h"
#include "vectors/learned/learned.h"

namespace hearth::vectors {
namespace {

int threads_of(int asked) {
  if (asked > 0) return asked;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

Result<std::unique_ptr<Index>> flat_of(const IndexSpec& spec) {
  constexpr std::array<std::string_view, 5> names{"f32", "f16", "bf16", "int8", "binary"};
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == spec.storage)
      return make_flat({.dim = spec.dim,
                        .metric = spec.metric,
                        .storage = static_cast<Storage>(i),
                        .threads = threads_of(spec.threads)});
  return Error(ErrorKind::invalid,
               fmt::format("storage '{}': needs f32, f16, bf16, int8 or binary", spec.storage));
}

Result<std::unique_ptr<Index>> hnsw_of(const IndexSpec& spec) {
  return Hnsw::create({.dim = spec.dim,
                       .metric = spec.metric,
                       .m = spec.m,
                       .ef_construction = spec.ef_construction,
                       .threads = spec.threads});
}

Result<std::unique_ptr<Index>> ivf_of(const IndexSpec& spec) {
  IvfSpec ivf;
  ivf.dim = spec.dim;
  ivf.metric = spec.metric;
  ivf.lists = spec.lists;
  ivf.code_bits = spec.code_bits;
  ivf.keep_floats = spec.keep_floats;
  ivf.pq = {spec.pq_segments, static_cast<int>(spec.pq_bits)};
  ivf.threads = threads_of(spec.threads);
  std::unique_ptr<Index> index = TRY(Ivf::create(ivf));
  return index;
}

Result<std::unique_ptr<Index>> open_ivf(const std::string& path, int threads) {
  std::unique_ptr<Index> index = TRY(Ivf::open(path, Residence::mapped, threads_of(threads)));
  return index;
}

LearnedSpec learned_spec(const IndexSpec& spec) {
  LearnedSpec learned;
  learned.dim = spec.dim;
  learned.metric = spec.metric;
  learned.radius = spec.radius;
  learned.model_path = spec.model_path;
  return learned;
}

MakeKind maker_of(IndexSpec spec) {
  return [spec](const std::string& kind) {
    IndexSpec chosen = spec;
    chosen.kind = kind;
    return make_index(chosen);
  };
}

AutoSpec auto_spec(const IndexSpec& spec) { return {.dim = spec.dim, .metric = spec.metric}; }

Result<std::unique_ptr<Index>> auto_of(const IndexSpec& spec) {
  return AutoIndex::create(auto_spec(spec), maker_of(spec), nullptr);
}

// To add a kind: its function here, and a row.
struct Kind {
  std::string_view name, magic;
  Result<std::unique_ptr<Index>> (*make)(const IndexSpec& spec);
  Result<std::unique_ptr<Index>> (*open)(const std::string& path, int threads);
};
constexpr Kind kinds[] = {
    {"flat", "HRTHFLAT", flat_of,
     [](const std::string& path, int threads) { return open_flat(path, threads_of(threads)); }},
    {"hnsw", Hnsw::magic, hnsw_of, [](const std::string& path, int) { return Hnsw::open(path); }},
    {"ivf", Ivf::magic, ivf_of, open_ivf},
    {"learned", Learned::magic,
     [](const IndexSpec& spec) { return Learned::create(learned_spec(spec)); },
     [](const std::string& path, int) { return Learned::open(path); }},
    {"hybrid", Learned::hybrid_magic,
     [](const IndexSpec& spec) { return make_hybrid(learned_spec(spec)); },
     [](const std::string& path, int) { return open_hybrid(path); }},
    {"auto", "", auto_of, nullptr},  // its files are those of what it became
};

}  // namespace

std::span<const std::string_view> index_kinds() {
  static constexpr auto names = [] {
    std::array<std::string_view, std::size(kinds)> list;
    for (std::size_t i = 0; i < list.size(); ++i) list[i] = kinds[i].name;
    return list;
  }();
  return names;
}

Result<std::unique_ptr<Index>> make_index(const IndexSpec& spec) {
  std::string names;
  for (const Kind& kind : kinds) {
    if (kind.name == spec.kind) return kind.make(spec);
    names += fmt::format("{}{}", names.empty() ? "" : ", ", kind.name);
  }
  return Error(ErrorKind::invalid, fmt::format("index '{}': needs one of {}", spec.kind, names));
}

Result<std::unique_ptr<Index>> open_index(const std::string& path, int threads) {
  const auto file = TRY(MappedFile::open(path));
  const std::string_view start =
      text_of(file->bytes().first(std::min<std::size_t>(file->bytes().size(), 8)));
  for (const Kind& kind : kinds)
    if (kind.open != nullptr && kind.magic == start) return kind.open(path, threads);
  return Error(ErrorKind::corrupt, fmt::format("{}: not the file of an index", path));
}

Result<std::unique_ptr<Index>> open_index(const std::string& path, const IndexSpec& spec) {
  auto opened = TRY(open_index(path, spec.threads));
  if (spec.kind != "auto") return opened;
  return AutoIndex::create(auto_spec(spec), maker_of(spec), std::move(opened));
}

}  // namespace hearth::vectors
