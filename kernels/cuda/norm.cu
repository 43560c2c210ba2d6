// y = norm(x), for prefixes, and for decoders with their norms behind the sublayers; zeros behind a row. What it must
// equal: LayerNorm in PyTorch.
//
// A warp for each row; two passes, since the squares of large numbers must not cancel.
#include "device.cuh"
#include "kernels.h"

namespace amt::cuda {
namespace {

constexpr int kThreads = 128;
constexpr float kNormEpsilon = 1e-5f;  // torch.nn.LayerNorm's

__global__ void __launch_bounds__(kThreads) norm_kernel(Norm call) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  const int row = static_cast<int>(blockIdx.x) * (kThreads / kWarp) + thread / kWarp;
  if (row >= call.num_rows) return;  // a whole warp
  const float* x = call.x + static_cast<int64_t>(row) * call.stride;
  float* y = call.y + static_cast<int64_t>(row) * call.stride;
  const auto size = static_cast<float>(call.num_features);
  float sum = 0.0f, squares = 0.0f;
  for (int i = lane; i < call.num_features; i += kWarp) sum += x[i];
  const float mean = sum_of_lanes<kWarp>(sum) / size;
  for (int i = lane; i < call.num_features; i += kWarp) squares += (x[i] - mean) * (x[i] - mean);
  const float factor = 1.0f / sqrtf(sum_of_lanes<kWarp>(squares) / size + kNormEpsilon);
  for (int i = lane; i < call.num_features; i += kWarp) y[i] = (x[i] - mean) * factor * call.weight[i] + call.bias[i];
  for (int i = call.num_features + lane; i < call.stride; i += kWarp) y[i] = 0.0f;
}

}  // namespace

extern "C" int amt_cuda_norm(const Norm* call, void* stream) {
  const Norm copy = *call;
  const dim3 grid(static_cast<unsigned>((call->num_rows + kThreads / kWarp - 1) / (kThreads / kWarp)));
  return AMT_LAUNCH(norm_kernel, grid, dim3(kThreads), 0, stream, copy);
}

}  // namespace amt::cuda
