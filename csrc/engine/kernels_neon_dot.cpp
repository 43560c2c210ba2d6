// The kernels for aarch64 with dot products of bytes (Armv8.2 dotprod).
#include "kernel_sets.h"
#include "simd_neon.h"
// The vector type comes before what is written with it.
#include "kernels_impl.h"

namespace amt::engine {

constexpr Kernels kNeonDotKernels = make_kernels("neon_dot");

}  // namespace amt::engine
