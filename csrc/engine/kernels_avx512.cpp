// The kernels for AVX-512 F, BW, DQ and VL.
#include "kernel_sets.h"
#include "simd_avx512.h"
// The vector type comes before what is written with it.
#include "kernels_impl.h"

namespace amt::engine {

constexpr Kernels kAvx512Kernels = make_kernels("avx512");

}  // namespace amt::engine
