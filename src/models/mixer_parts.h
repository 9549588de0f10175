// What the mixers share.
#pragma once

#include "kernels/states_select.h"
#include "models/mixers.h"

namespace hearth::models {

// One layer's mixer on its way.
struct Mix {
  ops::Context& ctx;
  const MixerHyper& hyper;
  const Layer& layer;
  float eps;
  std::span<const RowRun> runs;
  Arena& arena;
  const kernels::StateKernels& kernels;
};

// One of the layer's products with x, in memory of its own.
View project(const Mix& mix, View x, const Weight& w);
float softplus(float x);

// What the convolution makes of the rows of x behind the inputs that states hold; these move on.
View convolve(const Mix& mix, View x);

// Copies what a head's state holds, to where it may be taken back to.
void keep_certain(const Mix& mix, const RowRun& run, std::size_t head);

// Calls f(run, head) for all, each head of a sequence by one thread; rows that are guesses are a
// run of their own.
template <typename F>
void each_head(const Mix& mix, F f) {
  const std::size_t heads = mix.hyper.heads;
  mix.ctx.pool->parallel_for(mix.runs.size() * heads, 1,
                             [&](std::size_t begin, std::size_t end, int) {
                               for (std::size_t i = begin; i < end; ++i) {
                                 const RowRun& run = mix.runs[i / heads];
                                 if (run.guesses == 0) {
                                   f(run, i % heads);
                                   continue;
                                 }
                                 RowRun part = run;
                                 part.count = run.certain_rows();
                                 f(part, i % heads);
                                 keep_certain(mix, run, i % heads);
                                 part.first += part.count, part.count = run.guesses;
                                 f(part, i % heads);
                               }
                             });
}

float* state_of(const Mix& mix, const RowRun& run, std::size_t head);  // [state][head_dim]
std::size_t group_of(const MixerHyper& hyper, std::size_t head);

// One for each MixerKind: what it makes of the normed stream, before its projection out.
View mamba(const Mix& mix, View x);
View gated_delta(const Mix& mix, View x);
// first_values: as run_mixer; is_first: the layer that writes them.
View rwkv(const Mix& mix, View x, View first_values, bool is_first);

}  // namespace hearth::models
