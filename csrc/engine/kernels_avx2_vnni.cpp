// The kernels for AVX2, FMA and AVX-VNNI (8-bit products on processors without AVX-512).
#include "kernel_sets.h"
#include "simd_avx2.h"
// The vector type comes before what is written with it.
#include "kernels_impl.h"

namespace amt::engine {

const Kernels kAvx2VnniKernels = make_kernels("avx2_vnni");

}  // namespace amt::engine
