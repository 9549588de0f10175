// The recall that each breadth of search was measured to reach.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>

namespace hearth::vectors {

// Thread-safe.
class BreadthTable {
 public:
  static constexpr std::array<std::size_t, 14> breadths{10,  14,  20,  28,  40,  56,  80,
                                                        112, 160, 224, 320, 448, 640, 896};
  static constexpr std::array<std::size_t, 2> counts{10, 100};  // the k measured

  // The least breadth that reaches `target` recall@k, by what was measured, or by a guess.
  std::size_t breadth_for(std::size_t k, float target) const;

  // recall: by breadth, of counts[count].
  void set(std::size_t count, const std::array<float, breadths.size()>& recall);
  std::array<float, breadths.size()> recall(std::size_t count) const;
  void set_rows(std::size_t rows) { rows_ = rows; }
  std::size_t rows() const { return rows_; }  // when it was measured; 0: never

 private:
  float breadth_at(std::size_t count, float target) const;

  std::array<std::array<std::atomic<float>, breadths.size()>, counts.size()> recall_{};
  std::atomic<std::size_t> rows_ = 0;
};

}  // namespace hearth::vectors
