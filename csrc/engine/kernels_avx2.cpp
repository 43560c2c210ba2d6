// The kernels for AVX2 and FMA.
#include "kernel_sets.h"
#include "simd_avx2.h"
// The vector type comes before what is written with it.
#include "kernels_impl.h"

namespace amt::engine {

constexpr Kernels kAvx2Kernels = make_kernels("avx2");

}  // namespace amt::engine
