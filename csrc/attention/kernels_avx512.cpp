// The kernels for AVX-512 F, BW, DQ and VL: bfloat16 is computed in float32.
#include "attention_sets.h"
#include "simd_avx512.h"
// The vector type comes before what is written with it.
#include "passes.h"

namespace amt::attention {

constexpr Kernels kAvx512Kernels = Passes<Float32>::kernels("avx512");

}  // namespace amt::attention
