// Collections from and to files of other programs.
#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "vectors/store/collection.h"

namespace hearth::vectors {

enum class ExchangeFormat {
  jsonl,  // a document to a line, as to_json writes it
  npy,    // NumPy: [rows, dim] f32 or f64, no more than the vectors; ids are 0, 1, ...
  fvecs,  // of the SIFT data sets: for each vector its length and its numbers
};
// By the name's end.  Error invalid.
Result<ExchangeFormat> exchange_format(std::string_view path);

// Documents in the order they were written.  Replaces the file.  Returns how many.
Result<std::size_t> export_documents(const Collection& collection, const std::string& path,
                                     ExchangeFormat format, std::stop_token stop);

// Calls use(batch) with documents in the file's order; those of JSON lines may lack vectors.  done
// may be empty.
// Errors name the line or row.
Result<std::size_t> read_documents(const std::string& path, ExchangeFormat format,
                                   const std::function<Status(std::vector<Document>)>& use,
                                   const OnShare& done, std::stop_token stop);
// The same of a file's bytes.
Result<std::size_t> read_documents(std::span<const std::byte> bytes, ExchangeFormat format,
                                   const std::function<Status(std::vector<Document>)>& use,
                                   const OnShare& done, std::stop_token stop);

}  // namespace hearth::vectors
