// How far a row turns: what it must equal is `Decoder::turn_by_time` of csrc/engine/decoder.cpp.
#pragma once

#include "device.cuh"
#include "kernels.h"

namespace amt::cuda {

// Cosine and signed sine of row `place`.
__device__ __forceinline__ void turn(const Turns& call, int64_t place, int32_t position, int64_t time) {
  const int head_dim = call.head_dim, half = head_dim / 2;
  const float* tables[2] = {call.cosine, call.sine};
  float* to = call.turns + place * 2 * head_dim;
  for (int table = 0; table < 2; ++table) {
    for (int i = 0; i < head_dim; ++i) {
      to[table * head_dim + i] = tables[table][static_cast<int64_t>(position) * head_dim + i];
    }
  }
  for (int pair = 0; pair < call.num_timed_pairs; ++pair) {
    const double angle = static_cast<double>(time) * static_cast<double>(call.time_frequency[pair]);
    const int first = half - call.num_timed_pairs + pair, second = first + half;
    to[first] = to[second] = static_cast<float>(cos(angle));
    to[head_dim + second] = static_cast<float>(sin(angle));
    to[head_dim + first] = -to[head_dim + second];
  }
}

}  // namespace amt::cuda
