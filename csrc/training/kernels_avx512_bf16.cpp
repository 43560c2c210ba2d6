// The kernels for AVX-512 with BF16: two products of bfloat16 a lane and instruction.
#include "simd_avx512.h"
#include "training_sets.h"
// The vector type comes before what is written with it.
#include "kernels_of_set.h"

namespace amt::training {
namespace {

struct Bfloat16 : Bfloat16Pairs {
  using Packed = __m512i;
  static constexpr int64_t kGrain = 16;

  static Packed load_packed(const uint16_t* b) { return _mm512_loadu_si512(b); }
  static Packed repeat(const uint16_t* a) {
    int32_t pair;
    __builtin_memcpy(&pair, a, sizeof(pair));
    return _mm512_set1_epi32(pair);
  }
  static Vec add_product(Vec sum, Packed a, Packed b) {
    return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b))};
  }
  static void multiply(const Product<uint16_t>& product) { multiply_in_registers<Bfloat16>(product); }
};

}  // namespace

constexpr Kernels kAvx512Bf16Kernels = KernelsOf<Bfloat16>::kernels("avx512_bf16");

}  // namespace amt::training
