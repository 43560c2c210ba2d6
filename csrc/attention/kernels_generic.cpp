// The kernels for any processor.
#include "attention_sets.h"
#include "simd_generic.h"
// The vector type comes before what is written with it.
#include "passes.h"

namespace amt::attention {

constexpr Kernels kGenericKernels = Passes<Float32>::kernels("generic");

}  // namespace amt::attention
