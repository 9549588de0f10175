// A graph of near neighbours over seven-bit codes, answers ranked again by the vectors themselves.
// Source: Malkov and Yashunin 2018 (levels, choice of links); Singh et al. 2021, "FreshDiskANN"
// (repair after removals); Manohar et al. 2024, "ParlayANN" (insertion in batches).
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/guarded.h"
#include "vectors/graph/breadth_table.h"
#include "vectors/graph/linker.h"
#include "vectors/graph/readers.h"
#include "vectors/index.h"

namespace hearth::vectors {

struct HnswSpec {
  std::size_t dim = 0;
  Metric metric = Metric::l2;
  std::size_t m = 16;                 // links on upper levels; twice as many on level 0
  std::size_t ef_construction = 160;  // breadth of the search for links
  int threads = 0;                    // that build together; 0: one for each processor
};
constexpr std::size_t most_dim = 65536, most_m = 128, most_ef = 65536;
Status check_spec(const HnswSpec& spec);  // error invalid: a number outside of its limits

// Thread-safe.  A search takes no lock that a writer holds for longer than it takes to copy a
// pointer.
class Hnsw final : public Index {
 public:
  static Result<std::unique_ptr<Index>> create(const HnswSpec& spec);
  // mapped: memory of its own is taken at the first write.
  static Result<std::unique_ptr<Index>> open(const std::string& path,
                                             Residence residence = Residence::mapped);
  static constexpr std::string_view magic = "HRTHHNSW";

  Status add(std::span<const Row> rows, std::span<const float> vectors) override;
  void remove(std::span<const Row> rows) override;
  Result<std::vector<Hit>> search(std::span<const float> query,
                                  const SearchOptions& options) const override;
  Result<std::vector<std::vector<Hit>>> search_batch(std::span<const float> queries,
                                                     const SearchOptions& options) const override;
  Result<std::vector<float>> vector(Row row) const override;
  IndexInfo info() const override;
  Status maintain(std::stop_token stop) override;
  Status save(const std::string& path) const override;

 private:
  struct Writer;      // what only writers touch
  struct SearchPlan;  // how one query is answered
  class Borrowed;     // a Scratch for the length of a search

  explicit Hnsw(const HnswSpec& spec);

  // Writing; the caller holds writing_.
  Status reserve(std::size_t more, std::span<const float> coming);
  Slot place(Row row, const float* vector);
  void link(std::span<const Slot> slots);
  void supersede(Row row, Slot slot);
  Status drop_dead(std::stop_token stop);
  void choose_entry();
  void forget_slot(Slot slot);
  Status add_unique(std::span<const Row> rows, std::span<const float> vectors,
                    std::span<const std::uint32_t> order);
  void tune(std::span<const float> queries, std::span<const Slot> leave_out) const;
  std::vector<Slot> sample_slots(std::size_t n) const;
  std::vector<float> vectors_of(std::span<const Slot> slots) const;
  Linker linker(std::size_t rows);

  Status read(ByteReader& in, Arrays& arrays, std::uint64_t used, std::uint64_t blocks);
  Status claim_rows(const Arrays& arrays);

  // Reading; the caller is among readers_.
  Entry entry() const;
  Slot resolve(const Arrays& arrays, Slot slot) const;
  void answer(const Arrays& arrays, Scratch& scratch, const float* query, const SearchPlan& plan,
              std::vector<Hit>& hits) const;
  void walk(const Arrays& arrays, Scratch& scratch, const SearchPlan& plan,
            std::vector<Slot>& candidates) const;
  void scan(const Arrays& arrays, Scratch& scratch, std::size_t keep,
            std::vector<Slot>& candidates) const;
  std::vector<Slot> live_slots(const Arrays& arrays) const;
  std::vector<Slot> allowed_slots(const RowFilter& filter) const;
  void rank(const Arrays& arrays, Scratch& scratch, const float* query, const SearchPlan& plan,
            std::vector<Slot>& candidates, std::vector<Hit>& hits) const;
  const float* prepared(Scratch& scratch, const Arrays& arrays, const float* query) const;
  SearchPlan plan_for(const SearchOptions& options) const;
  Status check_query(std::span<const float> query, std::size_t n) const;

  const HnswSpec spec_;
  mutable Readers readers_;
  std::atomic<const Arrays*> arrays_ = nullptr;  // the one in use; never null
  RowMap map_;
  std::atomic<std::uint64_t> entry_;
  std::atomic<std::size_t> used_ = 0, live_ = 0, dead_ = 0;
  mutable BreadthTable tuning_;
  mutable Guarded<std::vector<std::unique_ptr<Scratch>>> scratch_;

  mutable std::mutex writing_;
  std::unique_ptr<Writer> writer_;

 public:
  ~Hnsw() override;
};

}  // namespace hearth::vectors
