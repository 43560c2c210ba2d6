// Counts a step, and says whether the WHILE node runs another: while steps are left, prompts run, and none has failed.
// It stands in a file of its own: a driver without such nodes cannot load it, and loads the others.
//
// One thread of one block.
#include "go_on.h"

namespace amt::cuda {
namespace {

__global__ void __launch_bounds__(kWarp) go_on_kernel(GoOn call) {
  if (threadIdx.x != 0) return;
  Control& control = *call.control;
  const bool goes_on = --control.steps_left > 0 && control.num_running > 0 && control.num_failed == 0;
  cudaGraphSetConditional(call.condition, goes_on ? 1 : 0);
}

}  // namespace

int launch_go_on(const GoOn& call, void* stream) {
  return AMT_LAUNCH(go_on_kernel, dim3(1), dim3(kWarp), 0, stream, call);
}

}  // namespace amt::cuda
