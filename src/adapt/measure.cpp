#include "adapt/measure.h"

#include <algorithm>
#include <map>

#include "adapt/chunks.h"
#include "ops/matrix.h"

namespace hearth::adapt {
namespace {

struct Place {
  std::string name;
  std::size_t expert;
};

// Parts of a fused tensor read the same rows: only the first of them counts.
class Watcher final : public ops::MatmulWatcher {
 public:
  explicit Watcher(ThreadPool& pool) : pool_(pool) {}

  void name(const ops::Matrix& matrix, const std::string& name, std::size_t expert) {
    if (!owners_.emplace(std::pair(name, expert), &matrix).second) return;
    places_[&matrix] = {name, expert};
    Importance& importance = matrix_.weights[name];
    importance.counts.resize(std::max(importance.counts.size(), expert + 1), 0.0f);
    importance.values.resize(importance.counts.size() * matrix.columns(), 0.0f);
  }

  void saw(const ops::Matrix& w, View x) override {
    const auto found = places_.find(&w);
    if (found == places_.end()) return;
    Importance& importance = matrix_.weights[found->second.name];
    float* sums = importance.values.data() + found->second.expert * w.columns();
    importance.counts[found->second.expert] += static_cast<float>(x.rows);
    constexpr std::size_t columns_at_once = 256;
    pool_.parallel_for(w.columns(), columns_at_once, [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t row = 0; row < x.rows; ++row)
        for (std::size_t c = begin; c < end; ++c) sums[c] += x.row(row)[c] * x.row(row)[c];
    });
  }

  // Sums become means; what nobody asked counts as nothing special.
  ImportanceMatrix take() {
    for (auto& [name, importance] : matrix_.weights) {
      const std::size_t columns = importance.values.size() / importance.counts.size();
      for (std::size_t i = 0; i < importance.values.size(); ++i) {
        const float count = importance.counts[i / columns];
        importance.values[i] = count > 0 ? importance.values[i] / count : 1.0f;
      }
    }
    return std::move(matrix_);
  }

 private:
  ThreadPool& pool_;
  ImportanceMatrix matrix_;
  std::map<const ops::Matrix*, Place> places_;
  std::map<std::pair<std::string, std::size_t>, const ops::Matrix*> owners_;
};

}  // namespace

Result<ImportanceMatrix> measure_importance(ops::Context& ctx, const Package& package,
                                            const std::string& text,
                                            const MeasureOptions& options) {
  if (package.naming != Naming::gguf)
    return Error(ErrorKind::invalid, "an importance matrix is measured on a GGUF file");
  Watcher watcher(*ctx.pool);
  LoadOptions load;
  load.stop = options.stop;
  load.name_matrix = [&](const ops::Matrix& matrix, const std::string& name, std::size_t expert) {
    watcher.name(matrix, name, expert);
  };
  const auto model = TRY(load_model(ctx, package, load));
  const auto chunks = TRY(chunks_of(*model, text, options.chunk_tokens, options.most_chunks));
  const auto tokens = static_cast<std::uint32_t>(chunks.front().size());
  ops::Context watched = ctx;
  watched.watcher = &watcher;
  ChunkRunner watching(watched, *model, tokens);
  for (std::size_t c = 0; c < chunks.size(); ++c) {
    if (options.progress)
      options.progress(static_cast<double>(c) / static_cast<double>(chunks.size()));
    TRY(watching.run(chunks[c], 0, options.stop));  // of all rows: the last layer sees them too
  }
  ImportanceMatrix matrix = watcher.take();
  matrix.text = options.text_name;
  matrix.chunks = static_cast<std::uint32_t>(chunks.size());
  matrix.chunk_tokens = tokens;
  return matrix;
}

}  // namespace hearth::adapt
