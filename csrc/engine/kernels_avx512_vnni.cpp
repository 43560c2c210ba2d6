// The 8-bit products of AVX-512 with VNNI; everything else is that of AVX-512.
#include "kernel_sets.h"
#include "simd_avx512.h"
// The vector type comes before what is written with it.
#include "vector_math.h"
// And that before the kernels.
#include "kernels_matmul.h"

namespace amt::engine {
namespace {

void matmul_with_vnni(const PackedMatrix& matrix, const Activations& x, int64_t first_panel, int64_t last_panel,
                      bool accumulate, float* out, int64_t out_stride) {
  const auto product = matrix.type == NumberType::kInt8 ? matmul_int8 : kAvx512Kernels.matmul;
  product(matrix, x, first_panel, last_panel, accumulate, out, out_stride);
}

Kernels with_vnni(Kernels kernels) {
  kernels.name = "avx512_vnni";
  kernels.matmul = matmul_with_vnni;
  return kernels;
}

}  // namespace

// kAvx512Kernels is a constant, so it is there before this is made.
const Kernels kAvx512VnniKernels = with_vnni(kAvx512Kernels);

}  // namespace amt::engine
