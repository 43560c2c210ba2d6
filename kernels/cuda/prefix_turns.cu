// How far the rows of prefixes turn. What it must equal: as turn.cuh says.
//
// A thread for each row.
#include "turn.cuh"

namespace amt::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads, 1) prefix_turns_kernel(PrefixTurns call) {
  const int row = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (row < call.num_rows) turn(call.turns, row, call.row_positions[row], call.times[row]);
}

}  // namespace

extern "C" int amt_cuda_prefix_turns(const PrefixTurns* call, void* stream) {
  const PrefixTurns copy = *call;
  const dim3 grid(static_cast<unsigned>((call->num_rows + kThreads - 1) / kThreads));
  return AMT_LAUNCH(prefix_turns_kernel, grid, dim3(kThreads), 0, stream, copy);
}

}  // namespace amt::cuda
