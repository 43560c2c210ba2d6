// silu(gate) * x, and its gradient, a pass over memory each: rows of 2 * hidden numbers hold gate and x side by side.
#pragma once

#include <cstdint>
#include <string>

#include "attention.h"

namespace amt::training {

// All contiguous. Forward without grad_output: output (num_rows, hidden). Backward: output is the gradient of input,
// (num_rows, 2 * hidden), grad_output (num_rows, hidden).
struct SwigluCall {
  Dtype dtype = Dtype::kFloat32;
  int64_t num_rows = 0, hidden = 0;
  const void* input = nullptr;  // (num_rows, 2 * hidden)
  const void* grad_output = nullptr;
  void* output = nullptr;
};

void swiglu(const SwigluCall& call, const std::string& isa, int64_t num_threads);

}  // namespace amt::training
