// The kernels for any processor.
#include "simd_generic.h"
#include "training_sets.h"
// The vector type comes before what is written with it.
#include "kernels_of_set.h"

namespace amt::training {

constexpr Kernels kGenericKernels = KernelsOf<Float32>::kernels("generic");

}  // namespace amt::training
