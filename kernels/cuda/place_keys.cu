// The way of new queries, keys and values: queries and keys get one length (qk_norm), turn with their position, and
// keys and values go to the cache. What it must equal: `rms_norm` and `rotate` of csrc/engine/kernels_rows.h.
//
// One block for each row; a warp takes every fourth head. A lane has the pairs (i, i + head_dim / 2) of every 32nd i.
#include "device.cuh"
#include "kernels.h"

namespace amt::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarp;
constexpr float kQueryKeyEpsilon = 1e-6f;  // that of amt.nn.attention

__device__ __forceinline__ void store_one(Bfloat* to, float x) {
  to->bits = static_cast<uint16_t>(to_bfloats(x, 0.0f) & 0xFFFF);
}
__device__ __forceinline__ void store_one(float* to, float x) { *to = x; }

template <typename Number>
__global__ void __launch_bounds__(kThreads, 1) place_keys_kernel(PlaceKeys call) {
  const int row = static_cast<int>(blockIdx.x), warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int prompt = call.row_prompts == nullptr ? row / call.num_beams : call.row_prompts[row];
  const int slot = call.row_prompts == nullptr ? row % call.num_beams : 0;
  if (call.lengths != nullptr && call.lengths[prompt] == 0) return;  // the whole block
  const int half = call.head_dim / 2, num_vectors = 2 * call.num_heads;
  float* vectors = call.query_key_value + static_cast<int64_t>(row) * 3 * call.num_heads * call.head_stride;
  const float* cosine = call.turns == nullptr ? nullptr : call.turns + static_cast<int64_t>(row) * 2 * call.head_dim;
  for (int index = warp; index < num_vectors; index += kWarps) {  // queries, then keys
    float* x = vectors + static_cast<int64_t>(index) * call.head_stride;
    float factor = 1.0f;
    if (call.norm_scale != 0.0f) {
      float squares = 0.0f;
      for (int i = lane; i < half; i += kWarp) squares += x[i] * x[i] + x[i + half] * x[i + half];  // what it writes
      const float mean = sum_of_lanes<kWarp>(squares) / static_cast<float>(call.head_dim);
      factor = call.norm_scale / sqrtf(mean + kQueryKeyEpsilon);
    }
    for (int i = lane; i < half; i += kWarp) {
      const float a = x[i] * factor, b = x[i + half] * factor;
      if (cosine == nullptr) {
        x[i] = a, x[i + half] = b;
      } else {
        const float* sine = cosine + call.head_dim;
        x[i] = a * cosine[i] + b * sine[i], x[i + half] = b * cosine[i + half] + a * sine[i + half];
      }
    }
  }
  __syncthreads();
  const int64_t position = call.row_positions[row];
  for (int index = warp; index < num_vectors; index += kWarps) {  // keys, then values
    const bool is_key = index < call.num_heads;
    const int64_t head = is_key ? index : index - call.num_heads;
    const float* x = vectors + static_cast<int64_t>(call.num_heads + index) * call.head_stride;
    const int64_t plane = (static_cast<int64_t>(prompt) * call.num_heads + head) * call.capacity + position;
    Number* to =
        static_cast<Number*>(is_key ? call.keys : call.values) + (plane * call.num_beams + slot) * call.head_stride;
    for (int i = lane; i < call.head_stride; i += kWarp) store_one(to + i, x[i]);
  }
}

// One block for (position, head).
template <typename Number>
__global__ void __launch_bounds__(kThreads) place_memory_kernel(PlaceMemory call) {
  const int64_t position = blockIdx.x, head = blockIdx.y;
  const float* from = call.from + (head * call.len + position) * call.head_dim;
  Number* to = static_cast<Number*>(call.to) + (head * call.capacity + position) * call.head_stride;
  for (int i = static_cast<int>(threadIdx.x); i < call.head_stride; i += kThreads) {
    store_one(to + i, i < call.head_dim ? from[i] : 0.0f);
  }
}

}  // namespace

extern "C" int amt_cuda_place_keys(const PlaceKeys* call, int is_bfloat, void* stream) {
  const PlaceKeys copy = *call;
  const dim3 grid(static_cast<unsigned>(call->num_rows));
  if (is_bfloat) return AMT_LAUNCH(place_keys_kernel<Bfloat>, grid, dim3(kThreads), 0, stream, copy);
  return AMT_LAUNCH(place_keys_kernel<float>, grid, dim3(kThreads), 0, stream, copy);
}

extern "C" int amt_cuda_place_memory(const PlaceMemory* call, int is_bfloat, void* stream) {
  const PlaceMemory copy = *call;
  const dim3 grid(static_cast<unsigned>(call->len), static_cast<unsigned>(call->num_heads));
  if (is_bfloat) return AMT_LAUNCH(place_memory_kernel<Bfloat>, grid, dim3(kThreads), 0, stream, copy);
  return AMT_LAUNCH(place_memory_kernel<float>, grid, dim3(kThreads), 0, stream, copy);
}

}  // namespace amt::cuda
