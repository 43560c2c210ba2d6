// The kernels for any processor, with no flags of an instruction set.
#include "kernel_sets.h"
#include "simd_generic.h"
// The vector type comes before what is written with it.
#include "kernels_impl.h"

namespace amt::engine {

constexpr Kernels kGenericKernels = make_kernels("generic");

}  // namespace amt::engine
