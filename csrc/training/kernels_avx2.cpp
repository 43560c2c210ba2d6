// The kernels for AVX2 with FMA.
#include "simd_avx2.h"
#include "training_sets.h"
// The vector type comes before what is written with it.
#include "kernels_of_set.h"

namespace amt::training {

constexpr Kernels kAvx2Kernels = KernelsOf<Float32>::kernels("avx2");

}  // namespace amt::training
