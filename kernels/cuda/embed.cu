// x = embedding[token] * scale + positions + the sum of each feature's vector times its value. What it must equal:
// `MusicTransformer._embed` and `amt.nn.features.StateFeatures`.
//
// One block a row; a thread takes every 128th number of it. Entries are added in their order.
#include "device.cuh"
#include "kernels.h"

namespace amt::cuda {
namespace {

constexpr int kThreads = 128;

template <typename Number>
__global__ void __launch_bounds__(kThreads) embed_kernel(Embed call) {
  const int row = static_cast<int>(blockIdx.x);
  const int64_t width = call.d_model;
  const auto* embedding = static_cast<const Number*>(call.embedding) + call.token_ids[row] * width;
  const auto* features = static_cast<const Number*>(call.features);
  const int64_t first = static_cast<int64_t>(row) * call.max_entries;
  const int num_entries = features == nullptr ? 0 : call.num_entries[row];
  const float* positions = call.positions == nullptr ? nullptr : call.positions + call.row_positions[row] * width;
  for (int i = static_cast<int>(threadIdx.x); i < call.d_model; i += kThreads) {
    float sum = load_one(embedding + i) * call.scale;
    if (positions != nullptr) sum += positions[i];
    for (int entry = 0; entry < num_entries; ++entry) {
      sum += load_one(features + call.columns[first + entry] * width + i) * call.values[first + entry];
    }
    call.x[row * width + i] = sum;
  }
}

}  // namespace

extern "C" int amt_cuda_embed(const Embed* call, int is_bfloat, void* stream) {
  const Embed copy = *call;
  const dim3 grid(static_cast<unsigned>(call->num_rows));
  if (is_bfloat) return AMT_LAUNCH(embed_kernel<Bfloat>, grid, dim3(kThreads), 0, stream, copy);
  return AMT_LAUNCH(embed_kernel<float>, grid, dim3(kThreads), 0, stream, copy);
}

}  // namespace amt::cuda
