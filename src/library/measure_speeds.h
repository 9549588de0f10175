// Measures what MachineSpeeds holds.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "library/machine_speeds.h"
#include "ops/context.h"
#include "runtime/runner.h"
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
// Of each token of an answer behind a short prompt that `round` makes another one; nothing is
// guessed.  Errors: those of Runner::submit.
Result<std::vector<double>> measure_tokens(Runner& runner, int threads, int round, int tokens);
// What a layer takes beyond the reading of its weights (attention, norms, activations, threads that
// begin together and wait for one another), from a model of made-up weights, for which `speeds`
// say how long reading takes.
Result<double> measure_layer_seconds(const MachineSpeeds& speeds, const kernels::Kernels& kernels,
                                     std::shared_ptr<ThreadPool> pool);
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
