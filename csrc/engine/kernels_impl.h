// All kernels over the 16 lanes of one simd_*.h, which is included before. Each kernels_*.cpp compiles this with its
// instruction set's flags. Nothing here may be a std template or any other inline function with a name the linker can
// see: the linker keeps one copy of such a function, and it might be one that an older processor cannot run.
#pragma once

#include "vector_math.h"
// vector_math.h first: the others are written with it.
#include "kernels_attend.h"
#include "kernels_matmul.h"
#include "kernels_rows.h"

namespace amt::engine {
namespace {

constexpr Kernels make_kernels(const char* name) {
  return {name,   matmul,   quantize_rows, layer_norm,     relu,   gelu,       swiglu,
          rotate, rms_norm, add_rows,      store_to_cache, attend, log_sum_exp};
}

}  // namespace
}  // namespace amt::engine
