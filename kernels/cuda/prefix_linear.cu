// y = activation(x weight^T + bias) + residual for many rows: the positions of prefixes. What it must equal: linear,
// and relu, gelu or `amt.ops.reference.swiglu`, in PyTorch. A norm goes before it (norm.cu): here it would be made once
// for every 64 features.
//
// One block of four warps for (64 features, 64 rows). It goes along the inner dimension in steps of 32: a tile of x and
// one of the weights come to shared memory, and are multiplied there. A row's bits do not depend on the rows beside it.
//
// bfloat16: matrix instructions, a warp has 32 x 32 of the results. float32: multiply-adds, a thread has 8 x 4.
#include "linear.cuh"

namespace amt::cuda {
namespace {

constexpr int kTileRows = 64, kTileFeatures = 64, kInner = 32, kThreads = 128;
constexpr int kShare = kTileRows * kInner / kThreads;  // numbers of each tile that a thread loads
static_assert(kShare == 16 && kTileRows == kTileFeatures && kInner % kShare == 0);

template <typename Number>
struct Tiles;

template <>
struct alignas(16) Tiles<Bfloat> {
  static constexpr int kStride = kInner + 8;  // neighbouring rows lie in different banks
  Bfloat x[kTileRows][kStride], weight[kTileFeatures][kStride];

  // Sixteen numbers of a row, from `column` on.
  __device__ __forceinline__ void put_x(int row, int column, const float (&numbers)[kShare]) {
#pragma unroll
    for (int i = 0; i < kShare; i += 2) put_pair(&x[row][column + i], numbers[i], numbers[i + 1]);
  }
  __device__ __forceinline__ void put_weight(int feature, int column, const Bfloat* from) {
#pragma unroll
    for (int i = 0; i < kShare; i += 8) {
      *reinterpret_cast<uint4*>(&weight[feature][column + i]) = *reinterpret_cast<const uint4*>(from + i);
    }
  }
};

template <>
struct alignas(16) Tiles<float> {
  static constexpr int kStride = kTileRows + 4;
  float x[kInner][kStride], weight[kInner][kStride];  // turned: a thread reads neighbouring rows at once

  __device__ __forceinline__ void put_x(int row, int column, const float (&numbers)[kShare]) {
#pragma unroll
    for (int i = 0; i < kShare; ++i) x[column + i][row] = numbers[i];
  }
  __device__ __forceinline__ void put_weight(int feature, int column, const float* from) {
#pragma unroll
    for (int i = 0; i < kShare; i += 4) {
      const float4 numbers = *reinterpret_cast<const float4*>(from + i);
      weight[column + i][feature] = numbers.x, weight[column + i + 1][feature] = numbers.y;
      weight[column + i + 2][feature] = numbers.z, weight[column + i + 3][feature] = numbers.w;
    }
  }
};

// The results of a thread, and where they are in the tile.
template <typename Number>
struct Results;

template <>
struct Results<Bfloat> {
  static constexpr int kCount = 32;
  float sums[2][4][4] = {};  // [16 rows][8 features][of an instruction]

  __device__ __forceinline__ void add(const Tiles<Bfloat>& tiles) {
    const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
    const int group = lane / 4, quarter = lane % 4;
    const auto pair = [](const Bfloat& first) { return *reinterpret_cast<const uint32_t*>(&first); };
#pragma unroll
    for (int start = 2 * quarter; start < kInner; start += 16) {
      uint32_t weights[4][2];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const Bfloat* from = tiles.weight[warp % 2 * 32 + 8 * i + group];
        weights[i][0] = pair(from[start]), weights[i][1] = pair(from[start + 8]);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const Bfloat* upper = tiles.x[warp / 2 * 32 + 16 * i + group];
        const Bfloat* lower = tiles.x[warp / 2 * 32 + 16 * i + group + 8];
        const uint32_t rows[4] = {pair(upper[start]), pair(lower[start]), pair(upper[start + 8]),
                                  pair(lower[start + 8])};
#pragma unroll
        for (int j = 0; j < 4; ++j) multiply_add(sums[i][j], rows, weights[j]);
      }
    }
  }
  __device__ __forceinline__ float& at(int i) { return sums[i / 16][i / 4 % 4][i % 4]; }
  __device__ __forceinline__ static int row(int i) {
    const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
    return warp / 2 * 32 + i / 16 * 16 + i % 4 / 2 * 8 + lane / 4;
  }
  __device__ __forceinline__ static int feature(int i) {
    const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
    return warp % 2 * 32 + i / 4 % 4 * 8 + lane % 4 * 2 + i % 2;
  }
};

template <>
struct Results<float> {
  static constexpr int kCount = 32;
  float sums[8][4] = {};  // [row][feature]

  __device__ __forceinline__ void add(const Tiles<float>& tiles) {
    const int first_row = row(0), first_feature = feature(0);
    float part[8][4] = {};  // sums of sums round less
#pragma unroll 8
    for (int k = 0; k < kInner; ++k) {
      const float4 weights = *reinterpret_cast<const float4*>(&tiles.weight[k][first_feature]);
      float rows[8];
      load_eight(&tiles.x[k][first_row], rows);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        part[i][0] += rows[i] * weights.x;
        part[i][1] += rows[i] * weights.y;
        part[i][2] += rows[i] * weights.z;
        part[i][3] += rows[i] * weights.w;
      }
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) sums[i / 4][i % 4] += part[i / 4][i % 4];
  }
  __device__ __forceinline__ float& at(int i) { return sums[i / 4][i % 4]; }
  __device__ __forceinline__ static int row(int i) { return static_cast<int>(threadIdx.x) / 16 * 8 + i / 4; }
  __device__ __forceinline__ static int feature(int i) { return static_cast<int>(threadIdx.x) % 16 * 4 + i % 4; }
};

// The products of the rows from first_row on with 64 features, of which those from num_features on are not there.
template <typename Number>
__device__ __forceinline__ void multiply(const NormLinear& call, const Number* weight, int num_features, int first_row,
                                         Tiles<Number>& tiles, Results<Number>& results) {
  const int line = static_cast<int>(threadIdx.x) * kShare / kInner;  // of both tiles
  const int column = static_cast<int>(threadIdx.x) * kShare % kInner;
  const bool is_there = first_row + line < call.num_rows;
  const float* x = call.x + static_cast<int64_t>(is_there ? first_row + line : 0) * call.in_features;
  // A feature that is not there reads the last one that is; its result is not stored.
  const Number* from = weight + static_cast<int64_t>(min(line, num_features - 1)) * call.in_features;
  for (int start = column; start < call.in_features; start += kInner) {
    float numbers[kShare] = {};
#pragma unroll
    for (int i = 0; i < kShare && is_there; i += 4) {
      const float4 four = *reinterpret_cast<const float4*>(x + start + i);
      numbers[i] = four.x, numbers[i + 1] = four.y, numbers[i + 2] = four.z, numbers[i + 3] = four.w;
    }
    __syncthreads();  // the tiles before have been read
    tiles.put_x(line, column, numbers);
    tiles.put_weight(line, column, from + start);
    __syncthreads();
    results.add(tiles);
  }
}

template <typename Number>
__global__ void __launch_bounds__(kThreads) prefix_linear_kernel(NormLinear call) {
  AMT_SHARED(Tiles<Number>, tiles);
  const int first_feature = static_cast<int>(blockIdx.x) * kTileFeatures;
  const int first_row = static_cast<int>(blockIdx.y) * kTileRows;
  const int num_features = call.out_features - first_feature;
  const int64_t width = call.in_features;
  const auto* weight = static_cast<const Number*>(call.weight) + first_feature * width;
  Results<Number> results;
  multiply(call, weight, num_features, first_row, tiles, results);
  const auto bias = [&](int feature) { return feature < call.out_features ? call.bias[feature] : 0.0f; };
#pragma unroll
  for (int i = 0; i < results.kCount; ++i) {
    float& result = results.at(i);
    result = activated(call.activation, result + bias(first_feature + results.feature(i)));
  }
  if (call.activation == Activation::kSwiglu) {  // the gates are there; the values follow
    Results<Number> values;
    multiply(call, weight + call.out_features * width, num_features, first_row, tiles, values);
#pragma unroll
    for (int i = 0; i < results.kCount; ++i) {
      const int feature = first_feature + results.feature(i);
      if (feature < call.out_features) results.at(i) *= values.at(i) + call.bias[call.out_features + feature];
    }
  }
#pragma unroll
  for (int i = 0; i < results.kCount; ++i) {
    const int feature = first_feature + results.feature(i), row = first_row + results.row(i);
    if (feature >= call.out_features || row >= call.num_rows) continue;
    const int64_t place = static_cast<int64_t>(row) * call.y_stride + feature;
    call.y[place] = results.at(i) + (call.residual != nullptr ? call.residual[place] : 0.0f);
  }
}

}  // namespace

extern "C" int amt_cuda_prefix_linear(const NormLinear* call, int is_bfloat, void* stream) {
  if (call->in_features % kInner != 0 || call->norm_weight != nullptr) return kNoKernel;
  const NormLinear copy = *call;
  const dim3 grid(static_cast<unsigned>((call->out_features + kTileFeatures - 1) / kTileFeatures),
                  static_cast<unsigned>((call->num_rows + kTileRows - 1) / kTileRows));
  constexpr size_t kOfBfloat = sizeof(Tiles<Bfloat>), kOfFloat = sizeof(Tiles<float>);
  static_assert(sizeof(Tiles<Bfloat>) == 10240 && sizeof(Tiles<float>) == 17408, "resources.py says so");
  if (is_bfloat) return AMT_LAUNCH(prefix_linear_kernel<Bfloat>, grid, dim3(kThreads), kOfBfloat, stream, copy);
  return AMT_LAUNCH(prefix_linear_kernel<float>, grid, dim3(kThreads), kOfFloat, stream, copy);
}

}  // namespace amt::cuda
