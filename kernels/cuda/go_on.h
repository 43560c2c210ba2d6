// Whether a loop of steps goes on: the last kernel of a step in a WHILE node (go_on.cu).
#pragma once

#include "device.cuh"
#include "prompt.h"

namespace amt::cuda {

struct GoOn {
  Control* control;
  cudaGraphConditionalHandle condition;
};

int launch_go_on(const GoOn& call, void* stream);

}  // namespace amt::cuda
