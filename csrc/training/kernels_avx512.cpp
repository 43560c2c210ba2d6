// The kernels for AVX-512 F, BW, DQ and VL: bfloat16 is computed in float32.
#include "simd_avx512.h"
#include "training_sets.h"
// The vector type comes before what is written with it.
#include "kernels_of_set.h"

namespace amt::training {

constexpr Kernels kAvx512Kernels = KernelsOf<Float32>::kernels("avx512");

}  // namespace amt::training
