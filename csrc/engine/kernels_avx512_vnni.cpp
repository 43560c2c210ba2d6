// The kernels for AVX-512 with VNNI.
#include "kernel_sets.h"
#include "simd_avx512.h"
// The vector type comes before what is written with it.
#include "kernels_impl.h"

namespace amt::engine {

const Kernels kAvx512VnniKernels = make_kernels("avx512_vnni");

}  // namespace amt::engine
