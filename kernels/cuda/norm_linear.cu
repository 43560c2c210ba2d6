// y = activation(norm(x) weight^T + bias) + residual: every product of a decoder's layer. What it must equal:
// LayerNorm, linear, and relu, gelu or `amt.ops.reference.swiglu`, in PyTorch.
#include "linear.cuh"

namespace amt::cuda {
namespace {

template <typename Number, Activation kActivation>
__global__ void __launch_bounds__(kLinearThreads) norm_linear_kernel(NormLinear call) {
  AMT_SHARED(LinearShared<Number>, shared);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp;
  const int first_feature = static_cast<int>(blockIdx.x) * kFeatures, first_row = static_cast<int>(blockIdx.y) * kRows;
  const int num_features = call.out_features - first_feature;
  const int64_t width = call.in_features;
  const auto* weight = static_cast<const Number*>(call.weight) + first_feature * width;
  load_rows(call.x, call.num_rows, call.in_features, call.norm_features, first_row, call.norm_weight, call.norm_bias,
            shared.x());
  __syncthreads();
  multiply(weight, shared.x(), call.in_features, num_features, shared.sums[warp]);
  __syncthreads();
  const int feature = first_feature + thread / kRows, row = first_row + thread % kRows;
  const bool is_there = feature < call.out_features && row < call.num_rows;
  float result = result_of_thread(shared.sums) + (is_there ? call.bias[feature] : 0.0f);
  result = activated(kActivation, result);
  if (kActivation == Activation::kSwiglu) {  // the gate is there; the values follow
    __syncthreads();
    multiply(weight + call.out_features * width, shared.x(), call.in_features, num_features, shared.sums[warp]);
    __syncthreads();
    result *= result_of_thread(shared.sums) + (is_there ? call.bias[call.out_features + feature] : 0.0f);
  }
  if (!is_there) return;
  const int64_t place = static_cast<int64_t>(row) * call.y_stride + feature;
  if (call.residual != nullptr) result += call.residual[place];
  call.y[place] = result;
}

template <typename Number>
int launch(const NormLinear& call, void* stream) {
  const dim3 grid(static_cast<unsigned>((call.out_features + kFeatures - 1) / kFeatures),
                  static_cast<unsigned>((call.num_rows + kRows - 1) / kRows));
  const size_t bytes = LinearShared<Number>::num_bytes(call.in_features);
  if (bytes > kMaxSharedBytes) return kNoKernel;
  const dim3 block(kLinearThreads);
  switch (call.activation) {
    case Activation::kNone:
      return AMT_LAUNCH((norm_linear_kernel<Number, Activation::kNone>), grid, block, bytes, stream, call);
    case Activation::kRelu:
      return AMT_LAUNCH((norm_linear_kernel<Number, Activation::kRelu>), grid, block, bytes, stream, call);
    case Activation::kGelu:
      return AMT_LAUNCH((norm_linear_kernel<Number, Activation::kGelu>), grid, block, bytes, stream, call);
    case Activation::kSwiglu:
      return AMT_LAUNCH((norm_linear_kernel<Number, Activation::kSwiglu>), grid, block, bytes, stream, call);
  }
  return kNoKernel;
}

}  // namespace

extern "C" int amt_cuda_norm_linear(const NormLinear* call, int is_bfloat, void* stream) {
  if (call->in_features % 32 != 0) return kNoKernel;
  const NormLinear copy = *call;
  return is_bfloat ? launch<Bfloat>(copy, stream) : launch<float>(copy, stream);
}

}  // namespace amt::cuda
