#include "vectors/learned/trainer.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

namespace hearth::vectors {
namespace {

using Indexes = std::vector<std::uint32_t>;

Table picked(const Table& from, std::span<const std::uint32_t> rows) {
  Table result(rows.size(), from.columns);
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy_n(from.row(rows[i]), from.columns, result.row(i));
  return result;
}

// keys[i, j] = |row j|^2 - 2 row j * query i: the order of distances.
Table distance_keys(const Table& queries, const Table& rows) {
  Table keys = product_transposed(queries, rows);
  std::vector<float> norms(rows.rows);
  for (std::size_t j = 0; j < rows.rows; ++j)
    for (std::size_t d = 0; d < rows.columns; ++d) norms[j] += rows.row(j)[d] * rows.row(j)[d];
  for (std::size_t i = 0; i < keys.rows; ++i)
    for (std::size_t j = 0; j < keys.columns; ++j) keys.row(i)[j] = norms[j] - 2 * keys.row(i)[j];
  return keys;
}

class Trainer {
 public:
  Trainer(CodeModel& model, Table x, const TrainingOptions& options)
      : model_(model),
        options_(options),
        x_(std::move(x)),
        net_(x_.columns, options.hidden, CodeModel::bits, options.seed),
        adam_(options.rate),
        random_(options.seed) {
    order_.resize(x_.rows);
    std::iota(order_.begin(), order_.end(), 0u);
    std::shuffle(order_.begin(), order_.end(), random_);
    const std::size_t held = std::min<std::size_t>(x_.rows / 10, 400);
    held_out_.assign(order_.end() - static_cast<std::ptrdiff_t>(held), order_.end());
    order_.resize(x_.rows - held);
  }

  Status run(std::stop_token stop, const OnProgress& on_progress) {
    TRY(find_neighbours(stop));
    const auto start = std::chrono::steady_clock::now();
    float best = -1;
    std::size_t stale = 0;
    for (std::size_t epoch = 1; epoch <= options_.epochs && stale < options_.patience; ++epoch) {
      const float loss = TRY(one_epoch(stop));
      const float validation = validate();
      if (validation > best + 0.001f) {
        best = validation;
        model_.encoder = net_.encoder;
        stale = 0;
      } else {
        ++stale;
      }
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
      const auto left = static_cast<double>(options_.epochs - epoch);
      if (on_progress)
        on_progress({epoch, options_.epochs, loss, validation, spent.count(),
                     spent.count() / static_cast<double>(epoch) * left});
    }
    set_thresholds();
    return Done{};
  }

 private:
  // The nearest rows of each row, in the sample.
  Status find_neighbours(std::stop_token stop) {
    constexpr std::size_t chunk = 256;
    const std::size_t n = x_.rows, similar = std::min(options_.similar, n / 4);
    neighbours_.resize(n);
    Indexes chunk_rows(chunk), all(n);
    for (std::size_t first = 0; first < n; first += chunk) {
      if (stop.stop_requested()) return Error(ErrorKind::cancelled, "training was stopped");
      chunk_rows.resize(std::min(chunk, n - first));
      std::iota(chunk_rows.begin(), chunk_rows.end(), static_cast<std::uint32_t>(first));
      const Table keys = distance_keys(picked(x_, chunk_rows), x_);
      for (std::size_t i = 0; i < chunk_rows.size(); ++i) {
        const float* key = keys.row(i);
        std::iota(all.begin(), all.end(), 0u);
        std::erase(all, chunk_rows[i]);
        std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(similar),
                          all.end(), [&](std::uint32_t a, std::uint32_t b) {
                            return key[a] != key[b] ? key[a] < key[b] : a < b;
                          });
        neighbours_[first + i].assign(all.begin(),
                                      all.begin() + static_cast<std::ptrdiff_t>(similar));
        all.resize(n);
      }
    }
    return Done{};
  }

  std::uint32_t below(std::size_t n) { return static_cast<std::uint32_t>(random_() % n); }

  // For each anchor one of the rivals that its code takes for near, though it is not.
  Indexes hard_negatives(std::span<const std::uint32_t> anchors, const Indexes& rivals,
                         const Table& rival_codes) {
    constexpr std::size_t hardest = 4;  // the very hardest of all is often a mislabelled neighbour
    const Table keys = distance_keys(net_.encoder.encode(picked(x_, anchors)), rival_codes);
    Indexes negatives(anchors.size());
    std::vector<std::pair<float, std::uint32_t>> list;
    for (std::size_t i = 0; i < anchors.size(); ++i) {
      list.clear();
      const Indexes& near = neighbours_[anchors[i]];
      for (std::size_t j = 0; j < rivals.size(); ++j)
        if (rivals[j] != anchors[i] && std::find(near.begin(), near.end(), rivals[j]) == near.end())
          list.emplace_back(keys.row(i)[j], rivals[j]);
      const std::size_t few = std::min(hardest, list.size());
      std::partial_sort(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(few), list.end());
      negatives[i] = list.empty() ? rivals[0] : list[below(few)].second;
    }
    return negatives;
  }

  Result<float> one_epoch(std::stop_token stop) {
    std::shuffle(order_.begin(), order_.end(), random_);
    constexpr std::size_t batches_per_mining = 8;
    double total = 0;
    std::size_t batches = 0;
    Indexes rivals;
    Table rival_codes;
    std::vector<std::vector<float>> gradients;
    for (std::size_t first = 0; first + 1 < order_.size(); first += options_.batch) {
      if (stop.stop_requested()) return Error(ErrorKind::cancelled, "training was stopped");
      const auto anchors =
          std::span(order_).subspan(first, std::min(options_.batch, order_.size() - first));
      if (batches % batches_per_mining == 0) {
        rivals.resize(std::min(options_.rivals, x_.rows));
        for (auto& rival : rivals) rival = below(x_.rows);
        rival_codes = net_.encoder.encode(picked(x_, rivals));
      }
      Indexes positives(anchors.size());
      for (std::size_t i = 0; i < anchors.size(); ++i) {
        const Indexes& near = neighbours_[anchors[i]];
        positives[i] = near[below(std::min(options_.neighbours, near.size()))];
      }
      const Indexes negatives = hard_negatives(anchors, rivals, rival_codes);
      const Losses losses = triplet_losses(net_, picked(x_, anchors), picked(x_, positives),
                                           picked(x_, negatives), options_.loss, &gradients);
      adam_.step(net_.parameters(), gradients);
      total += losses.triplet;
      ++batches;
    }
    return static_cast<float>(total / static_cast<double>(std::max<std::size_t>(batches, 1)));
  }

  float validate() const {
    const Table codes = net_.encoder.encode(x_);
    const Table keys = distance_keys(picked(codes, held_out_), codes);
    const std::size_t twentieth = std::max<std::size_t>(x_.rows / 20, 2);
    std::size_t found = 0, wanted = 0;
    std::vector<float> sorted(x_.rows);
    for (std::size_t i = 0; i < held_out_.size(); ++i) {
      const float* key = keys.row(i);
      std::copy_n(key, x_.rows, sorted.begin());
      std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(twentieth),
                       sorted.end());
      const Indexes& near = neighbours_[held_out_[i]];
      for (std::size_t j = 0; j < std::min(options_.neighbours, near.size()); ++j, ++wanted)
        found += key[near[j]] <= sorted[twentieth];
    }
    return wanted == 0 ? 0 : static_cast<float>(found) / static_cast<float>(wanted);
  }

  // Each bit is set for half of the sample: it then tells most.
  void set_thresholds() {
    const Table codes = model_.encoder.encode(x_);
    std::vector<float> column(codes.rows);
    model_.thresholds.resize(CodeModel::bits);
    for (std::size_t b = 0; b < CodeModel::bits; ++b) {
      for (std::size_t i = 0; i < codes.rows; ++i) column[i] = codes.row(i)[b];
      const auto middle = column.begin() + static_cast<std::ptrdiff_t>(column.size() / 2);
      std::nth_element(column.begin(), middle, column.end());
      model_.thresholds[b] = *middle;
    }
  }

  CodeModel& model_;
  const TrainingOptions& options_;
  Table x_;
  Autoencoder net_;
  Adam adam_;
  std::mt19937_64 random_;
  Indexes order_, held_out_;
  std::vector<Indexes> neighbours_;
};

void standardise(CodeModel& model, std::span<const float> rows, std::size_t dim) {
  const std::size_t n = rows.size() / dim;
  std::vector<double> sums(dim);
  for (std::size_t i = 0; i < rows.size(); ++i) sums[i % dim] += double{rows[i]};
  model.mean.resize(dim);
  for (std::size_t d = 0; d < dim; ++d)
    model.mean[d] = static_cast<float>(sums[d] / static_cast<double>(n));
  double square = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double d = double{rows[i]} - double{model.mean[i % dim]};
    square += d * d;
  }
  square /= static_cast<double>(rows.size());
  model.scale = square > 0 ? static_cast<float>(1 / std::sqrt(square)) : 1;
}

}  // namespace

Table CodeModel::standardised(std::span<const float> rows) const {
  Table x(rows.size() / dim(), dim());
  for (std::size_t i = 0; i < x.rows; ++i)
    for (std::size_t d = 0; d < x.columns; ++d)
      x.row(i)[d] = (rows[i * x.columns + d] - mean[d]) * scale;
  return x;
}

std::uint32_t CodeModel::code(const float* embedding) const {
  std::uint32_t result = 0;
  for (std::size_t b = 0; b < bits; ++b)
    result |= static_cast<std::uint32_t>(embedding[b] > thresholds[b]) << b;
  return result;
}

std::size_t CodeModel::bytes() const {
  std::size_t floats = mean.size() + thresholds.size();
  for (const Layer* layer : {&encoder.hidden, &encoder.output})
    floats += layer->weights.values.size() + layer->bias.size();
  return floats * sizeof(float);
}

Result<CodeModel> train_codes(std::span<const float> rows, std::size_t dim,
                              const TrainingOptions& options, std::stop_token stop,
                              const OnProgress& on_progress) {
  if (rows.size() / dim < least_training_rows)
    return Error(ErrorKind::invalid, fmt::format("{} rows: training needs at least {}",
                                                 rows.size() / dim, least_training_rows));
  CodeModel model;
  standardise(model, rows, dim);
  Trainer trainer(model, model.standardised(rows), options);
  TRY(trainer.run(stop, on_progress));
  return model;
}

}  // namespace hearth::vectors
