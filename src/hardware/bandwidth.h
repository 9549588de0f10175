// How fast this machine reads its memory: what bounds the speed of a large model on a processor.
#pragma once

#include <cstdint>

namespace hearth::hardware {

// Bytes per second of `threads` threads that read together, measured in some 0.2 s.
double measure_read_bandwidth(int threads);

}  // namespace hearth::hardware
