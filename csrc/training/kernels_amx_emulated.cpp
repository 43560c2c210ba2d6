// What kernels_avx512_amx.cpp computes, for any processor and slowly: for tests.
#include "simd_generic.h"
#include "training_sets.h"
// The vector type comes before what is written with it.
#include "bfloat16_tiles.h"
#include "kernels_of_set.h"

namespace amt::training {
namespace {

// The tile instructions as Intel's manual defines them (Software Developer's Manual, volume 2, TILELOADD, TILESTORED,
// TDPBF16PS), but for the rounding of sums, which are added one after the other.
struct EmulatedTiles {
  static thread_local uint8_t tiles[8][kTileRows][kTileBytes];
  static thread_local bool is_configured;

  static void begin() { is_configured = true; }
  static void end() { is_configured = false; }

  template <int kIndex>
  static void clear() {
    __builtin_memset(tiles[kIndex], is_configured ? 0 : 0xff, sizeof(tiles[kIndex]));
  }
  template <int kIndex>
  static void load(const void* from, int64_t stride) {
    for (int64_t row = 0; row < kTileRows; ++row) {
      __builtin_memcpy(tiles[kIndex][row], static_cast<const char*>(from) + row * stride, kTileBytes);
    }
  }
  template <int kIndex>
  static void store(void* to, int64_t stride) {
    for (int64_t row = 0; row < kTileRows; ++row) {
      __builtin_memcpy(static_cast<char*>(to) + row * stride, tiles[kIndex][row], kTileBytes);
    }
  }
  template <int kSums, int kA, int kB>
  static void multiply() {
    for (int64_t m = 0; m < kTileRows; ++m) {
      float sums[kLanes];
      __builtin_memcpy(sums, tiles[kSums][m], kTileBytes);
      for (int64_t k = 0; k < kTileBytes / 4; ++k) {
        for (int64_t n = 0; n < kLanes; ++n) {
          sums[n] += number(kA, m, 2 * k) * number(kB, k, 2 * n) + number(kA, m, 2 * k + 1) * number(kB, k, 2 * n + 1);
        }
      }
      __builtin_memcpy(tiles[kSums][m], sums, kTileBytes);
    }
  }

 private:
  static float number(int tile, int64_t row, int64_t index) {
    uint16_t half;
    __builtin_memcpy(&half, tiles[tile][row] + 2 * index, sizeof(half));
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof(value));
    return value;
  }
};

thread_local uint8_t EmulatedTiles::tiles[8][kTileRows][kTileBytes];
thread_local bool EmulatedTiles::is_configured = false;

}  // namespace

constexpr Kernels kAmxEmulatedKernels = KernelsOf<TiledBfloat16<EmulatedTiles>>::kernels("amx_emulated");

}  // namespace amt::training
