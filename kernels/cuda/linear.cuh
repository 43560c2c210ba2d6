// The inside of norm_linear.cu: 8 rows, normed on the way into shared memory, times 16 features of the
// weights. One block of four warps for (8 rows, 16 features); the warps take turns along the inner dimension, and their
// sums are added in one order, so that a row's bits do not depend on the rows beside it.
//
// bfloat16: matrix instructions with the weights as the operand of 16 rows; the inner dimension may be in any order, so
// a lane reads 8 neighbours at once, which are its share of two instructions. float32: multiply-adds, and a warp has
// four features of its own.
#pragma once

#include "device.cuh"
#include "kernels.h"

namespace amt::cuda {

constexpr int kRows = 8, kFeatures = 16, kLinearThreads = 128, kLinearWarps = kLinearThreads / kWarp;
constexpr int kPadding = 8;            // behind a row in shared memory: neighbouring rows lie in different banks
constexpr float kNormEpsilon = 1e-5f;  // torch.nn.LayerNorm's
static_assert(kRows * kFeatures == kLinearThreads, "each thread has one result");

// Shared memory: this, and behind it the normed rows, (kRows, in_features + kPadding).
template <typename Number>
struct alignas(16) LinearShared {
  float sums[kLinearWarps][kFeatures][kRows];

  __device__ __forceinline__ Number* x() { return reinterpret_cast<Number*>(this + 1); }

  static size_t num_bytes(int in_features) {
    return sizeof(LinearShared) + sizeof(Number) * kRows * static_cast<size_t>(in_features + kPadding);
  }
};

__device__ __forceinline__ float activated(Activation activation, float x) {
  if (activation == Activation::kRelu) return fmaxf(x, 0.0f);
  if (activation == Activation::kGelu) return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
  if (activation == Activation::kSwiglu) return x / (1.0f + expf(-x));
  return x;
}

__device__ __forceinline__ void put_pair(Bfloat* to, float low, float high) {
  *reinterpret_cast<uint32_t*>(to) = to_bfloats(low, high);
}
__device__ __forceinline__ void put_pair(float* to, float low, float high) { to[0] = low, to[1] = high; }

// Rows first_row .. of x into shared memory, normed if norm_weight is there (norm_features of them, 0 behind them);
// zeros for rows that are not.
template <typename Number>
__device__ __forceinline__ void load_rows(const float* x, int num_rows, int in_features, int norm_features,
                                          int first_row, const float* norm_weight, const float* norm_bias, Number* to) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int row = warp; row < kRows; row += kLinearWarps) {
    const bool is_there = first_row + row < num_rows;
    const float* from = x + static_cast<int64_t>(is_there ? first_row + row : 0) * in_features;
    Number* out = to + row * (in_features + kPadding);
    float mean = 0.0f, factor = 1.0f;
    if (norm_weight != nullptr) {  // two passes: the squares of large numbers must not cancel
      float sum = 0.0f, squares = 0.0f;
      for (int i = lane; i < norm_features; i += kWarp) sum += from[i];
      mean = sum_of_lanes<kWarp>(sum) / static_cast<float>(norm_features);
      for (int i = lane; i < norm_features; i += kWarp) squares += (from[i] - mean) * (from[i] - mean);
      factor = 1.0f / sqrtf(sum_of_lanes<kWarp>(squares) / static_cast<float>(norm_features) + kNormEpsilon);
    }
    for (int i = 2 * lane; i < in_features; i += 2 * kWarp) {
      float pair[2] = {0.0f, 0.0f};
      for (int j = 0; j < 2 && is_there; ++j) {
        pair[j] = from[i + j];
        if (norm_weight != nullptr) pair[j] = (pair[j] - mean) * factor * norm_weight[i + j] + norm_bias[i + j];
      }
      put_pair(out + i, pair[0], pair[1]);
    }
  }
}

// Adds this warp's part of the products of 16 features, of which those from num_features on are not there.
__device__ __forceinline__ void multiply(const Bfloat* weight, const Bfloat* x, int in_features, int num_features,
                                         float (&sums)[kFeatures][kRows]) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int group = lane / 4, quarter = lane % 4;
  // A feature that is not there reads the last one that is; its result is not stored.
  const Bfloat* upper = weight + static_cast<int64_t>(min(group, num_features - 1)) * in_features;
  const Bfloat* lower = weight + static_cast<int64_t>(min(group + 8, num_features - 1)) * in_features;
  const Bfloat* row = x + group * (in_features + kPadding);
  float result[4] = {};
#pragma unroll 4
  for (int start = warp * 32; start < in_features; start += kLinearWarps * 32) {
    const int place = start + 8 * quarter;
    const uint4 a = *reinterpret_cast<const uint4*>(upper + place), b = *reinterpret_cast<const uint4*>(lower + place);
    const uint4 c = *reinterpret_cast<const uint4*>(row + place);
    multiply_add(result, {a.x, b.x, a.y, b.y}, {c.x, c.y});
    multiply_add(result, {a.z, b.z, a.w, b.w}, {c.z, c.w});
  }
  sums[group][2 * quarter] = result[0], sums[group][2 * quarter + 1] = result[1];
  sums[group + 8][2 * quarter] = result[2], sums[group + 8][2 * quarter + 1] = result[3];
}

// Eight lanes side by side share a feature and go through its weights together; each then gets the sum of one row.
__device__ __forceinline__ void multiply(const float* weight, const float* x, int in_features, int num_features,
                                         float (&sums)[kFeatures][kRows]) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  const int feature = thread / kRows, eighth = thread % kRows;
  const float* from = weight + static_cast<int64_t>(min(feature, num_features - 1)) * in_features;
  float result[kRows] = {};
  for (int start = 4 * eighth; start < in_features; start += 32) {
    const float4 numbers = *reinterpret_cast<const float4*>(from + start);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      const float4 inputs = *reinterpret_cast<const float4*>(x + row * (in_features + kPadding) + start);
      result[row] += numbers.x * inputs.x;
      result[row] += numbers.y * inputs.y;
      result[row] += numbers.z * inputs.z;
      result[row] += numbers.w * inputs.w;
    }
  }
  // Half of the rows go to the lane across, half come from there: 4, then 2, then 1.
#pragma unroll
  for (int half = kRows / 2; half > 0; half /= 2) {
    const bool is_upper = (eighth & half) != 0;
#pragma unroll
    for (int row = 0; row < half; ++row) {
      const float given = is_upper ? result[row] : result[row + half];
      const float own = is_upper ? result[row + half] : result[row];
      result[row] = own + __shfl_xor_sync(kAllLanes, given, half);
    }
  }
  // The other warps have the other features.
#pragma unroll
  for (int each = 0; each < kFeatures; each += kWarp / kRows) {
    const int place = each + lane / kRows;
    sums[place][eighth] = place == feature ? result[0] : 0.0f;
  }
}

// The result of this thread: of feature thread / 8 and row thread % 8.
__device__ __forceinline__ float result_of_thread(const float (&sums)[kLinearWarps][kFeatures][kRows]) {
  const int feature = static_cast<int>(threadIdx.x) / kRows, row = static_cast<int>(threadIdx.x) % kRows;
  return (sums[0][feature][row] + sums[1][feature][row]) + (sums[2][feature][row] + sums[3][feature][row]);
}

}  // namespace amt::cuda
