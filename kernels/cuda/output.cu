// logits = norm(x) weight^T + bias, log_probs = log_softmax(logits): the end of a step. What it must equal: the same in
// PyTorch.
//
// Blocks as in linear.cuh; the last one of 8 rows to arrive makes their log-softmax, a warp for two of them.
#include "kernels.h"
#include "linear.cuh"

namespace amt::cuda {
namespace {

template <typename Number>
__global__ void __launch_bounds__(kLinearThreads) output_kernel(Output call) {
  AMT_SHARED(LinearShared<Number>, shared);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp, lane = thread % kWarp;
  const int first_feature = static_cast<int>(blockIdx.x) * kFeatures, first_row = static_cast<int>(blockIdx.y) * kRows;
  const int64_t vocab_size = call.vocab_size;
  const auto* weight = static_cast<const Number*>(call.weight) + static_cast<int64_t>(first_feature) * call.in_features;
  load_rows(call.x, call.num_rows, call.in_features, call.in_features, first_row, call.norm_weight, call.norm_bias,
            shared.x());
  __syncthreads();
  multiply(weight, shared.x(), call.in_features, call.vocab_size - first_feature, shared.sums[warp]);
  __syncthreads();
  const int feature = first_feature + thread / kRows, row = first_row + thread % kRows;
  if (feature < call.vocab_size && row < call.num_rows) {
    call.logits[row * vocab_size + feature] = result_of_thread(shared.sums) + call.bias[feature];
  }
  if (!is_last_to_arrive(call.arrivals + blockIdx.y, gridDim.x, shared.is_last)) return;
  for (int own = first_row + warp; own < min(first_row + kRows, call.num_rows); own += kLinearWarps) {
    const float* logits = call.logits + own * vocab_size;
    float largest = -INFINITY, sum = 0.0f;
    for (int i = lane; i < call.vocab_size; i += kWarp) largest = fmaxf(largest, logits[i]);
    largest = max_of_warp(largest);
    for (int i = lane; i < call.vocab_size; i += kWarp) sum += expf(logits[i] - largest);
    const float lse = logf(sum_of_lanes<kWarp>(sum));
    for (int i = lane; i < call.vocab_size; i += kWarp)
      call.log_probs[own * vocab_size + i] = logits[i] - largest - lse;
  }
}

template <typename Number>
int launch(const Output& call, void* stream) {
  const dim3 grid(static_cast<unsigned>((call.vocab_size + kFeatures - 1) / kFeatures),
                  static_cast<unsigned>((call.num_rows + kRows - 1) / kRows));
  const size_t bytes = LinearShared<Number>::num_bytes(call.in_features);
  if (bytes > kMaxSharedBytes) return kNoKernel;
  return AMT_LAUNCH(output_kernel<Number>, grid, dim3(kLinearThreads), bytes, stream, call);
}

}  // namespace

extern "C" int amt_cuda_output(const Output* call, int is_bfloat, void* stream) {
  if (call->in_features % 32 != 0) return kNoKernel;
  const Output copy = *call;
  return is_bfloat ? launch<Bfloat>(copy, stream) : launch<float>(copy, stream);
}

}  // namespace amt::cuda
