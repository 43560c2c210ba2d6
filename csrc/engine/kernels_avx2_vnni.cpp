// The 8-bit products of AVX-VNNI, on processors without AVX-512; everything else is that of AVX2.
#include "kernel_sets.h"
#include "simd_avx2.h"
// The vector type comes before what is written with it.
#include "vector_math.h"
// And that before the kernels.
#include "kernels_matmul.h"

namespace amt::engine {
namespace {

void matmul_with_vnni(const PackedMatrix& matrix, const Activations& x, int64_t first_panel, int64_t last_panel,
                      bool accumulate, float* out, int64_t out_stride) {
  const auto product = matrix.type == NumberType::kInt8 ? matmul_int8 : kAvx2Kernels.matmul;
  product(matrix, x, first_panel, last_panel, accumulate, out, out_stride);
}

Kernels with_vnni(Kernels kernels) {
  kernels.name = "avx2_vnni";
  kernels.matmul = matmul_with_vnni;
  return kernels;
}

}  // namespace

// kAvx2Kernels is a constant, so it is there before this is made.
const Kernels kAvx2VnniKernels = with_vnni(kAvx2Kernels);

}  // namespace amt::engine
