// Rows take a token each; then the masks of what may come next and the state features. What it must equal: advance and
// allowed of GrammarState, advance and write of FeatureState (csrc/midi), which are the same functions.
//
// One block a row. A thread takes the token, a thread of another warp writes the features. Then all threads judge the
// vocabulary, every 256th token each, from a copy of the state in shared memory; the least distance of all is allowed.
#include "device.cuh"
#include "feature_track.h"
#include "grammar_state.h"
#include "kernels.h"

namespace amt::cuda {
namespace {

constexpr int kThreads = 256, kWords = sizeof(midi::GrammarState) / sizeof(uint64_t);
static_assert(sizeof(midi::GrammarState) % sizeof(uint64_t) == 0);

struct GrammarShared {
  midi::GrammarState state;
  midi::GrammarState::Aim aim;
  int least[kThreads / kWarp];
};
static_assert(sizeof(GrammarShared) == 5312, "resources.py says so");

__device__ __forceinline__ int least_of_warp(int x) {
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) x = min(x, __shfl_xor_sync(kAllLanes, x, flip));
  return x;
}

__device__ void write_features(const GrammarStep& call, int row, int token) {
  const midi::FeatureRules& rules = *call.feature_rules;
  midi::FeatureTrack& track = call.tracks[row];
  track.bind(rules, call.lists + row * call.list_words, call.capacity);
  track.advance(token);
  midi::FeatureEntry* entries = call.entries + static_cast<int64_t>(row) * rules.max_entries;
  float* values = call.values + static_cast<int64_t>(row) * rules.max_entries;
  const int num_entries = static_cast<int>(track.write(entries) - entries);
  for (int i = 0; i < num_entries; ++i) values[i] = rules.value(entries[i], call.value_table);
  call.num_entries[row] = num_entries;
}

__global__ void __launch_bounds__(kThreads, 1) grammar_step_kernel(GrammarStep call) {
  AMT_SHARED(GrammarShared, shared);
  const int row = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const int token = call.token_ids[row];
  midi::GrammarState& own = call.states[row];
  if (thread == 0) {
    own.bind(call.rules[row]);
    call.taken[row] = token >= 0 && own.take(token) ? 1 : 0;
  }
  __syncthreads();
  const auto* from = reinterpret_cast<const uint64_t*>(&own);
  auto* to = reinterpret_cast<uint64_t*>(&shared.state);
  for (int word = thread; word < kWords; word += kThreads) to[word] = from[word];
  __syncthreads();
  if (thread == 0) shared.aim = shared.state.aim(call.remaining[row]);
  if (thread == kWarp && call.feature_rules != nullptr && call.taken[row] != 0) write_features(call, row, token);
  __syncthreads();
  const int vocab_size = call.rules[row].ids.size();
  uint8_t* mask = call.masks + static_cast<int64_t>(row) * vocab_size;
  int least = midi::GrammarState::kForbidden;
  for (int id = thread; id < vocab_size; id += kThreads) {
    mask[id] = shared.state.distance(id, shared.aim);
    least = min(least, static_cast<int>(mask[id]));
  }
  least = least_of_warp(least);
  if (thread % kWarp == 0) shared.least[thread / kWarp] = least;
  __syncthreads();
  for (const int of_warp : shared.least) least = min(least, of_warp);
  for (int id = thread; id < vocab_size; id += kThreads) {
    mask[id] = least < midi::GrammarState::kForbidden && mask[id] == least ? 1 : 0;
  }
}

}  // namespace

extern "C" int amt_cuda_grammar_step(const GrammarStep* call, int is_bfloat, void* stream) {
  (void)is_bfloat;  // masks are whole numbers
  const GrammarStep copy = *call;
  const dim3 grid(static_cast<unsigned>(call->num_rows));
  return AMT_LAUNCH(grammar_step_kernel, grid, dim3(kThreads), sizeof(GrammarShared), stream, copy);
}

}  // namespace amt::cuda
