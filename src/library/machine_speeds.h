// How fast this machine is at what models do, measured once and kept.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "formats/package.h"
#include "library/folders.h"
#include "library/recommend.h"

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
  double disk_write_bytes_per_second = 0, disk_read_bytes_per_second = 0;
  double seconds = 0;                 // that measuring took
  std::int64_t measured_seconds = 0;  // Unix time
};

// In less than ten seconds; `progress` is told what comes next.  `kernels`: as LibraryOptions.
// Errors: cancelled, those of kernels::choose.
Result<MachineSpeeds> measure_speeds(const LibraryFolders& folders, const std::string& kernels,
                                     std::stop_token stop,
                                     const std::function<void(std::string_view what)>& progress);
// Kept in folders.cache; nothing: never measured, or on another processor.
std::optional<MachineSpeeds> load_speeds(const LibraryFolders& folders);
Status save_speeds(const LibraryFolders& folders, const MachineSpeeds& speeds);
Json to_json(const MachineSpeeds& speeds);

// Tokens per second of one answer, when a token passes through so many bytes of weights of such a
// type ("q4_k"; any other one counts as the slowest).  0: not known.
double expected_tokens_per_second(const MachineSpeeds& speeds, std::string_view dtype,
                                  std::uint64_t bytes_per_token);

// Weights that one token passes through: all but the table of embeddings where another one makes
// the answer, and of experts those that are asked.
std::uint64_t bytes_per_token(const Package& package);

// What models may take here, and how fast it is read.
MachineFigures figures_of(const MachineSpeeds& speeds);

}  // namespace hearth
