// logits_bench MODEL TOKENS OUT [--cpu TABLE] [--tier TIER] [--threads N] [--kv-type TYPE]
// Writes the logits [tokens, vocabulary] f32 of a text, computed in chunks as a server does, to
// compare engines by what they would say next.  TOKENS: a file of 32-bit numbers.  The table
// `portable` with --kv-type f32 computes everything in f32.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <vector>

#include "base/files.h"
#include "kernels/select.h"
#include "models/model.h"

using namespace hearth;

namespace {

constexpr std::size_t chunk_tokens = 128;
constexpr std::size_t most_bytes = 1 << 26;

struct Options {
  std::string model, tokens, out, table, tier = "accurate", kv_type;
  int threads = 1;
};

Options read_options(int argc, char** argv) {
  Options options;
  std::vector<std::string> places;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--kv-type" && i + 1 < argc)
      options.kv_type = argv[++i];
    else if (argument == "--cpu" && i + 1 < argc)
      options.table = argv[++i];
    else if (argument == "--tier" && i + 1 < argc)
      options.tier = argv[++i];
    else if (argument == "--threads" && i + 1 < argc)
      options.threads = std::atoi(argv[++i]);
    else
      places.push_back(argument);
  }
  places.resize(3);
  options.model = places[0], options.tokens = places[1], options.out = places[2];
  return options;
}

Status write_logits(const Options& options) {
  ThreadPool pool(std::max(1, options.threads));
  ops::Context ctx{.kernels = TRY(kernels::choose(options.table)), .pool = &pool};
  ctx.tier = ops::tier_named(options.tier).value_or(ops::Tier::accurate);
  const Package package = TRY(open_package(options.model));
  LoadOptions load;
  for (const DtypeInfo& type : dtypes())
    if (options.kv_type == type.name) load.kv_dtype = type.dtype;
  const auto model = TRY(load_model(ctx, package, load));
  const std::string bytes = TRY(read_file(options.tokens, most_bytes));
  std::vector<Token> tokens(bytes.size() / sizeof(Token));
  std::memcpy(tokens.data(), bytes.data(), tokens.size() * sizeof(Token));

  const std::size_t page_count = tokens.size() / ops::kv_page_tokens + 1;
  std::vector<std::byte> memory(page_count * model->kv_layout().page_bytes + 64);
  std::byte* first_page =
      memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
  std::vector<std::byte*> pages;
  for (std::size_t i = 0; i < page_count; ++i)
    pages.push_back(first_page + i * model->kv_layout().page_bytes);
  std::vector<float> state(model->kv_layout().state_bytes / sizeof(float));  // of models that recur
  const ops::KvSequence sequence{pages, reinterpret_cast<std::byte*>(state.data())};

  std::ofstream out(options.out, std::ios::binary);
  std::vector<float> logits(chunk_tokens * model->info().vocabulary);
  for (std::size_t first = 0; first < tokens.size(); first += chunk_tokens) {
    const std::size_t count = std::min(chunk_tokens, tokens.size() - first);
    std::vector<ops::RowPlace> places;
    std::vector<std::uint32_t> rows;
    for (std::size_t i = 0; i < count; ++i) {
      places.push_back({0, static_cast<std::uint32_t>(first + i)});
      rows.push_back(static_cast<std::uint32_t>(i));
    }
    const std::span<float> some(logits.data(), count * model->info().vocabulary);
    TRY(model->forward(ctx,
                       {.tokens = std::span(tokens).subspan(first, count),
                        .places = places,
                        .sequences = {&sequence, 1},
                        .output_rows = rows},
                       some, {}));
    out.write(reinterpret_cast<const char*>(some.data()),
              static_cast<std::streamsize>(some.size_bytes()));
  }
  if (!out.flush()) return Error(ErrorKind::io, fmt::format("{}: cannot be written", options.out));
  return Done{};
}

}  // namespace

int main(int argc, char** argv) {
  const Status status = write_logits(read_options(argc, argv));
  if (!status.ok()) fmt::print("{}\n", status.error().message());
  return status.ok() ? 0 : 1;
}
