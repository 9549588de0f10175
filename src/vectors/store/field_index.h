// FieldIndex: the rows of each value of one metadata field, sorted, so that a filter becomes a set
// of rows in the time its answer takes to write.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vectors/store/bits.h"
#include "vectors/store/filter.h"

namespace hearth::vectors {

// Rows are added ascending; those of removed documents stay and are masked by the caller.
// Used by one thread while add() runs; select() is safe for many threads otherwise.
class FieldIndex {
 public:
  void add(Row row, const Json* value);  // nullptr: the document has no such field
  // filter: a condition on this field.  rows: how many rows the answer speaks of.
  Bits select(const Filter& filter, std::size_t rows) const;
  std::size_t memory_bytes() const;

 private:
  using Entry = std::pair<double, Row>;

  void merge();
  Bits select_number(Filter::Op op, double value, std::size_t rows) const;
  Bits select_text(Filter::Op op, const std::string& value, std::size_t rows) const;
  Bits select_equal(const Json& value, std::size_t rows) const;

  std::vector<Entry> numbers_, recent_;  // sorted; not yet merged into them
  std::map<std::string, std::vector<Row>, std::less<>> texts_;
  std::vector<Row> truths_[2];
  Bits present_;                          // rows whose value is there and not null
  std::unique_ptr<FieldIndex> elements_;  // of values that are lists
};

// The fields of a collection that some filter has asked about.
using FieldIndexes = std::map<std::string, std::unique_ptr<FieldIndex>, std::less<>>;

// Every field the filter asks about must be in `fields`.  Bits of rows that are not live are
// arbitrary.
Bits select(const Filter& filter, const FieldIndexes& fields, const Bits& live, std::size_t rows);

}  // namespace hearth::vectors
