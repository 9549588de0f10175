// Measures what MachineSpeeds holds.
#pragma once

#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "library/machine_speeds.h"
#include "ops/context.h"
#include "tensor/dtype.h"

namespace hearth {

// In less than ten seconds; `progress` is told what comes next.  `kernels`: as LibraryOptions.
// Errors: cancelled, those of kernels::choose.
Result<MachineSpeeds> measure_speeds(const LibraryFolders& folders, const std::string& kernels,
                                     std::stop_token stop,
                                     const std::function<void(std::string_view what)>& progress);

// Parts of it, for those who predict and compare in one moment.
Result<std::vector<MachineSpeeds::Weights>> measure_weights(ops::Context& ctx,
                                                            std::span<const Dtype> types,
                                                            std::stop_token stop);
// What a product takes beyond the reading of its weights.
Result<double> measure_product_seconds(ops::Context& ctx, std::stop_token stop);
double measure_logit_seconds();

// Of rates measured one after the other, that of the machine when nothing else runs: other programs
// only slow it down, and the very best may be luck.
double idle_rate(std::vector<double> rates);

// What `threads` threads that work all the time need: other programs that run meanwhile do not
// count.
class WorkClock {
 public:
  explicit WorkClock(int threads);
  double seconds() const;

 private:
  const int threads_;
  const double processor_, wall_;
};

}  // namespace hearth
