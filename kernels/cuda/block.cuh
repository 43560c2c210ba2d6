// A block of threads as the workers of a search: see csrc/engine/workers.h. And log(sum(exp(x))) in the order of the
// CPU's kernels.
#pragma once

#include "device.cuh"

namespace amt::cuda {

constexpr int kBlockThreads = 128, kBlockWarps = kBlockThreads / kWarp;
constexpr int kSumLanes = 16;  // of the CPU's vectors

struct BlockShared {
  float warp_max[kBlockWarps];
  uint64_t warp_key[kBlockWarps];
  float lanes[kSumLanes];
};

class Block {
 public:
  static constexpr bool kIsAlone = false;

  __device__ explicit Block(BlockShared& shared) : shared_(shared) {}

  __device__ int64_t first() const { return static_cast<int64_t>(threadIdx.x); }
  __device__ int64_t step() const { return kBlockThreads; }
  __device__ bool is_first() const { return threadIdx.x == 0; }
  __device__ void put(float number, float& place) const { *static_cast<volatile float*>(&place) = number; }
#ifdef __CUDACC__
  __device__ void wait() const { __syncthreads(); }
#else
  // The line of the caller, by which the tests tell barriers apart.
  void wait(int line = __builtin_LINE()) const { cuda_on_cpu::wait_for_block(line); }
#endif

  // The largest number of all threads; NaN counts as nothing.
  __device__ float max(float mine) const {
    mine = max_of_warp(mine);
    if (threadIdx.x % kWarp == 0) shared_.warp_max[threadIdx.x / kWarp] = mine;
    wait();
    float largest = shared_.warp_max[0];
    for (int warp = 1; warp < kBlockWarps; ++warp) largest = fmaxf(largest, shared_.warp_max[warp]);
    wait();
    return largest;
  }
  __device__ bool any(bool mine) const { return max(mine ? 1.0f : 0.0f) > 0.0f; }

  __device__ uint64_t largest_key(uint64_t mine) const {
#pragma unroll
    for (int flip = kWarp / 2; flip > 0; flip /= 2) {
      const uint64_t other = __shfl_xor_sync(kAllLanes, static_cast<unsigned long long>(mine), flip);
      mine = other > mine ? other : mine;
    }
    if (threadIdx.x % kWarp == 0) shared_.warp_key[threadIdx.x / kWarp] = mine;
    wait();
    uint64_t largest = shared_.warp_key[0];
    for (int warp = 1; warp < kBlockWarps; ++warp) {
      largest = shared_.warp_key[warp] > largest ? shared_.warp_key[warp] : largest;
    }
    wait();
    return largest;
  }

  // exp within 2 ulp; 0 below -87 and so for -inf. Must equal `exponential` in csrc/engine/vector_math.h where
  // multiply-adds are fused there.
  __device__ static float exponential(float x) {
    x = x > -87.5f ? x : -87.5f;
    x = x < 89.0f ? x : 89.0f;
    const float magic = 12582912.0f;  // 1.5 * 2^23
    const float shifted = fmaf(x, 1.44269504f, magic);
    const float n = shifted - magic;
    const float r = fmaf(n, 2.12194440e-4f, fmaf(n, -0.693359375f, x));
    float y = 1.9875691500e-4f;
    y = fmaf(y, r, 1.3981999507e-3f);
    y = fmaf(y, r, 8.3334519073e-3f);
    y = fmaf(y, r, 4.1665795894e-2f);
    y = fmaf(y, r, 1.6666665459e-1f);
    y = fmaf(y, r, 5.0000001201e-1f);
    y = fmaf(y, r * r, r) + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    return y * bits_to_float((bits + 126u) << 23) * 2.0f;
  }

  // The sum of a lane: of numbers lane, lane + 16, and so on.
  __device__ static float sum_of_lane(const float* x, int64_t num, int lane) {
    float sum = 0.0f;
    for (int64_t i = lane; i < num; i += kSumLanes) sum += exponential(x[i]);
    return sum;
  }

  // The lanes in the order of `add_lanes`.
  __device__ static float sum_of_lanes(const float (&lanes)[kSumLanes]) {
    float quads[4];
    for (int i = 0; i < 4; ++i) quads[i] = (lanes[i] + lanes[i + 8]) + (lanes[i + 4] + lanes[i + 12]);
    return (quads[0] + quads[1]) + (quads[2] + quads[3]);
  }

  // log(sum(exp(x))) of numbers that are at most 0, one of them 0. Must equal `log_sum_exp` in
  // csrc/engine/kernels_rows.h.
  struct LogSumExp {
    __device__ float operator()(const Block& block, const float* x, int64_t num) const {
      float (&lanes)[kSumLanes] = block.shared_.lanes;
      if (threadIdx.x < kSumLanes) lanes[threadIdx.x] = sum_of_lane(x, num, static_cast<int>(threadIdx.x));
      block.wait();
      const float sum = logf(sum_of_lanes(lanes));
      block.wait();
      return sum;
    }
  };

 private:
  BlockShared& shared_;
};

}  // namespace amt::cuda
