// The kernels for aarch64.
#include "kernel_sets.h"
#include "simd_neon.h"
// The vector type comes before what is written with it.
#include "kernels_impl.h"

namespace amt::engine {

constexpr Kernels kNeonKernels = make_kernels("neon");

}  // namespace amt::engine
