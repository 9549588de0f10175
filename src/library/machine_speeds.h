// How fast this machine is at what models do, measured once and kept.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "formats/package.h"
#include "library/folders.h"
#include "library/recommend.h"
#include "models/model.h"

namespace hearth {

struct MachineSpeeds {
  std::string processor;  // whose figures these are
  std::string kernels;    // the table that answers are computed with
  int threads = 0;
  struct Memory {
    int threads = 0;
    double bytes_per_second = 0;
  };
  std::vector<Memory> memory;  // read together, for each number of threads
  struct Table {
    std::string name;
    double whole_per_second = 0, float_per_second = 0;  // operations on one thread, products of
                                                        // 8-bit and of 32-bit weights
  };
  std::vector<Table> tables;
  struct Weights {
    std::string dtype;
    double bytes_per_second = 0;  // of weights, when one token passes through them
  };
  std::vector<Weights> weights;
  double layer_seconds = 0;  // of a layer with all threads, beyond the reading of its weights
  double logit_seconds = 0;  // of each number that a token is chosen from
  double disk_write_bytes_per_second = 0, disk_read_bytes_per_second = 0;
  double disk_random_reads_per_second = 0;  // of 4 KiB, one after the other
  double seconds = 0;                       // that measuring took
  std::int64_t measured_seconds = 0;        // Unix time
};

// Kept in folders.cache; nothing: never measured, or on another processor, or by
// another version.
std::optional<MachineSpeeds> load_speeds(const LibraryFolders& folders);
Status save_speeds(const LibraryFolders& folders, const MachineSpeeds& speeds);
Json to_json(const MachineSpeeds& speeds);

// What one token of an answer passes through: of weights all but the table of embeddings where
// another one makes the answer, and of experts those that are asked.
struct TokenWork {
  std::map<std::string, double, std::less<>> weight_bytes;  // by the type it is read as: "q4_k"
  std::uint32_t layers = 0;
  std::uint64_t vocabulary = 0;
};
TokenWork work_per_token(const Package& package, const ModelInfo& info);

// Tokens per second of one answer, its context still short, on the machine when nothing else runs.
// A type that was not measured counts as the slowest.  0: not known.
double expected_tokens_per_second(const MachineSpeeds& speeds, const TokenWork& work);
// Bytes per second of a file of four bits (Q4_K_M), as one token passes through it.  0: not known.
double four_bit_bytes_per_second(const MachineSpeeds& speeds);

// What models may take here, and how fast it is read.
MachineFigures figures_of(const MachineSpeeds& speeds);

}  // namespace hearth
