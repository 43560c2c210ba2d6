// The kernels for AVX2 with FMA.
#include "attention_sets.h"
#include "simd_avx2.h"
// The vector type comes before what is written with it.
#include "passes.h"

namespace amt::attention {

constexpr Kernels kAvx2Kernels = Passes<Float32>::kernels("avx2");

}  // namespace amt::attention
