// Which models of the catalog suit a machine, and why.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "library/catalog.h"

namespace hearth {

struct MachineFigures {
  std::uint64_t memory_bytes = 0;    // that models may take
  double read_bytes_per_second = 0;  // of all threads together
  // Of weights, as one token passes through them; 0: not measured, taken as a share of the former.
  double weights_bytes_per_second = 0;
};

struct Recommendation {
  std::string task;
  CatalogEntry entry;
  double tokens_per_second = 0;  // at most: a token reads the weights once
  std::string reason;
};

// One for each of chat, code and embed that anything fits: the largest of the recommended entries
// that fits the memory and answers faster than people read; where none is so fast, the fastest.
std::vector<Recommendation> recommend(const std::vector<CatalogEntry>& catalog,
                                      const MachineFigures& machine);

enum class ModelWish {
  smallest,  // that is of use
  balanced,  // the largest that answers faster than people read
  best,      // the largest that fits, unless it is hopelessly slow
};
// Of the recommended entries for the task; nothing: none fits the memory.
std::optional<Recommendation> choose_model(const std::vector<CatalogEntry>& catalog,
                                           const MachineFigures& machine, std::string_view task,
                                           ModelWish wish);

double expected_tokens_per_second(const CatalogEntry& entry, const MachineFigures& machine);

}  // namespace hearth
