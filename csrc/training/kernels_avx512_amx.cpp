// The kernels for AMX with BF16. Not yet run on such a processor: what was tested is kernels_amx_emulated.cpp, which is
// the same but for the eight functions here.
#include "simd_avx512.h"
#include "training_sets.h"
// The vector type comes before what is written with it.
#include "bfloat16_tiles.h"
#include "kernels_of_set.h"

namespace amt::training {
namespace {

// Tile numbers are part of the instruction, so each function has them as constants.
struct AmxTiles {
  static void begin() {
    struct {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    static_assert(sizeof(config) == 64);
    asm volatile("ldtilecfg %0" ::"m"(config));
  }
  static void end() { asm volatile("tilerelease"); }

  template <int kIndex>
  static void clear() {
    asm volatile("tilezero %%tmm%c0" ::"i"(kIndex));
  }
  template <int kIndex>
  static void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(kIndex) : "memory");
  }
  template <int kIndex>
  static void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(kIndex) : "memory");
  }
  template <int kSums, int kA, int kB>
  static void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kA), "i"(kB));
  }
};

}  // namespace

constexpr Kernels kAvx512AmxKernels = KernelsOf<TiledBfloat16<AmxTiles>>::kernels("avx512_amx");

}  // namespace amt::training
