// The kernels for training as ops: check the tensors, call, translate the error. amt/ops/native_attention.py,
// amt/ops/swiglu.py and amt/ops/orthogonalize.py are their face.
#include "training_ops.h"

#include <algorithm>
#include <string>

#include "attention.h"
#include "errors.h"
#include "newton_schulz.h"
#include "swiglu.h"
#include "team.h"
#include "training_kernels.h"

namespace amt {
namespace {

using stable::ScalarType;
using stable::Tensor;

void check_memory(const Tensor& tensor, ScalarType type, const char* message) {
  check(tensor.is_cpu() && tensor.scalar_type() == type && tensor.is_in_storage(), message);
}

// So many contiguous numbers.
template <typename T>
T* numbers(const Tensor& tensor, ScalarType type, int64_t num, const char* message) {
  check(tensor.numel() == num && tensor.is_contiguous(), message);
  check_memory(tensor, type, message);
  return static_cast<T*>(tensor.data_ptr());
}

// The same, or nullptr if the tensor is empty.
template <typename T>
T* numbers_if_any(const Tensor& tensor, ScalarType type, int64_t num, const char* message) {
  return tensor.numel() == 0 ? nullptr : numbers<T>(tensor, type, num, message);
}

// What all big tensors of a call have.
ScalarType number_type(const Tensor& tensor) {
  const ScalarType type = tensor.scalar_type();
  check(type == ScalarType::Float || type == ScalarType::BFloat16, "the numbers must be float32 or bfloat16");
  return type;
}

training::Dtype to_dtype(ScalarType type) {
  return type == ScalarType::BFloat16 ? training::Dtype::kBfloat16 : training::Dtype::kFloat32;
}

training::View view(const Tensor& tensor, const training::AttentionCall& call, int64_t seq_len) {
  check(tensor.dim() == 4 && tensor.size(0) == call.batch && tensor.size(1) == call.num_heads &&
            tensor.size(2) == seq_len && tensor.size(3) == call.head_dim,
        "the tensors must agree in batch, num_heads, length and head_dim");
  check(tensor.stride(3) == 1, "the stride of head_dim must be 1");
  const bool is_half = call.dtype == training::Dtype::kBfloat16;
  check_memory(tensor, is_half ? ScalarType::BFloat16 : ScalarType::Float,
               "the tensors must have one dtype, and lie on the CPU");
  return {tensor.data_ptr(), tensor.stride(0), tensor.stride(1), tensor.stride(2)};
}

int64_t in_range(const char* name, int64_t value, int64_t low, int64_t high) {
  check(value >= low && value <= high, std::string(name) + " must be between " + std::to_string(low) + " and " +
                                           std::to_string(high) + ", got " + std::to_string(value));
  return value;
}

constexpr int64_t kMost = int64_t{1} << 40;  // of numbers in a tensor, and of a window

// batch * num_heads * length, without overflow.
int64_t num_rows(const training::AttentionCall& call, int64_t length) {
  int64_t product = 1;
  for (const int64_t size : {call.batch, call.num_heads, length}) {
    check(size <= kMost / std::max<int64_t>(1, product), "the tensors are too large");
    product *= size;
  }
  return product;
}

// Everything but the views.
training::AttentionCall to_call(const Tensor& query, const Tensor& key, const Tensor& lse, const Tensor& key_mask,
                                const Tensor& key_lengths, const Tensor& query_lengths, const Tensor& cosine,
                                const Tensor& signed_sine, const std::vector<int64_t>& options,
                                const std::vector<double>& factors) {
  check(query.dim() == 4 && key.dim() == 4, "query and key must be (batch, num_heads, seq_len, head_dim)");
  check(options.size() == 5 && factors.size() == 4, "options has 5 numbers, factors 4");
  training::AttentionCall call;
  call.dtype = to_dtype(number_type(query));
  call.batch = query.size(0);
  call.num_heads = query.size(1);
  call.query_len = query.size(2);
  call.key_len = key.size(2);
  call.head_dim = query.size(3);
  num_rows(call, call.key_len);
  call.is_causal = options[1] != 0;
  call.window = in_range("window", options[2], 0, kMost);
  call.dropout_threshold = static_cast<uint32_t>(in_range("the threshold of dropout", options[3], 0, 1 << 8));
  call.seed = static_cast<uint64_t>(options[4]);
  call.scale = static_cast<float>(factors[0]);
  call.keep_scale = static_cast<float>(factors[1]);
  call.norm_scale = static_cast<float>(factors[2]);
  call.norm_epsilon = static_cast<float>(factors[3]);
  call.lse = numbers<float>(lse, ScalarType::Float, num_rows(call, call.query_len),
                            "lse must be (batch, num_heads, query_len) float32");
  call.key_mask = numbers_if_any<const uint8_t>(key_mask, ScalarType::Byte, call.batch * call.key_len,
                                                "key_mask must be (batch, key_len) uint8");
  call.key_lengths =
      numbers_if_any<const int32_t>(key_lengths, ScalarType::Int, call.batch, "key_lengths must be (batch) int32");
  call.query_lengths =
      numbers_if_any<const int32_t>(query_lengths, ScalarType::Int, call.batch, "query_lengths must be (batch) int32");
  if (cosine.numel() > 0) {
    check(call.query_len == call.key_len, "with rotary positions queries and keys have one length");
    const int64_t size = call.query_len * call.head_dim;
    call.rotary_batch_stride = cosine.numel() == size ? 0 : size;
    const int64_t num = call.rotary_batch_stride == 0 ? size : call.batch * size;
    call.cosine = numbers<const float>(cosine, ScalarType::Float, num,
                                       "cosine must be (seq_len, head_dim) or (batch, seq_len, head_dim) float32");
    call.signed_sine = numbers<const float>(signed_sine, ScalarType::Float, num, "signed_sine must be as cosine");
  }
  return call;
}

}  // namespace

std::string training_kernel_sets() {
  std::string names;
  for (int64_t index = 0; index < training::num_kernel_sets(); ++index) {
    names += (index ? "," : "") + std::string(training::kernel_set(index).name);
  }
  return names;
}

void attention_forward(Tensor query, Tensor key, Tensor value, Tensor output, Tensor lse, Tensor key_mask,
                       Tensor key_lengths, Tensor query_lengths, Tensor cosine, Tensor signed_sine,
                       std::vector<int64_t> options, std::vector<double> factors, std::string isa) {
  translating([&] {
    training::AttentionCall call =
        to_call(query, key, lse, key_mask, key_lengths, query_lengths, cosine, signed_sine, options, factors);
    call.query = view(query, call, call.query_len);
    call.key = view(key, call, call.key_len);
    call.value = view(value, call, call.key_len);
    call.output = view(output, call, call.query_len);
    training::attention_forward(call, isa, engine::checked_threads(options[0]));
  });
}

void attention_backward(Tensor query, Tensor key, Tensor value, Tensor output, Tensor lse, Tensor grad_output,
                        Tensor grad_lse, Tensor grad_query, Tensor grad_key, Tensor grad_value, Tensor key_mask,
                        Tensor key_lengths, Tensor query_lengths, Tensor cosine, Tensor signed_sine,
                        std::vector<int64_t> options, std::vector<double> factors, std::string isa) {
  translating([&] {
    training::AttentionCall call =
        to_call(query, key, lse, key_mask, key_lengths, query_lengths, cosine, signed_sine, options, factors);
    call.grad_lse = numbers_if_any<const float>(grad_lse, ScalarType::Float, lse.numel(), "grad_lse must be as lse");
    call.query = view(query, call, call.query_len);
    call.key = view(key, call, call.key_len);
    call.value = view(value, call, call.key_len);
    call.output = view(output, call, call.query_len);
    call.grad_output = view(grad_output, call, call.query_len);
    call.grad_query = view(grad_query, call, call.query_len);
    call.grad_key = view(grad_key, call, call.key_len);
    call.grad_value = view(grad_value, call, call.key_len);
    training::attention_backward(call, isa, engine::checked_threads(options[0]));
  });
}

void swiglu(Tensor input, Tensor grad_output, Tensor output, std::vector<int64_t> options, std::string isa) {
  translating([&] {
    check(options.size() == 1, "options has 1 number");
    check(input.dim() == 2 && input.size(1) % 2 == 0, "input must be (num_rows, 2 * hidden)");
    const ScalarType type = number_type(input);
    const int64_t num = input.numel();
    training::SwigluCall call;
    call.dtype = to_dtype(type);
    call.num_rows = input.size(0);
    call.hidden = input.size(1) / 2;
    call.input = numbers<void>(input, type, num, "input must be contiguous and on the CPU");
    call.grad_output = numbers_if_any<void>(grad_output, type, num / 2, "grad_output must be (num_rows, hidden)");
    call.output = numbers<void>(output, type, call.grad_output == nullptr ? num / 2 : num,
                                "output must be contiguous, of the size and dtype of the result");
    if (num > 0) training::swiglu(call, isa, engine::checked_threads(options[0]));
  });
}

void orthogonalize(std::vector<Tensor> matrices, std::vector<int64_t> options, std::vector<double> factors,
                   std::string isa) {
  translating([&] {
    check(options.size() == 2 && factors.size() == 4, "options has 2 numbers, factors 4");
    std::vector<training::Matrix> views;
    for (const Tensor& matrix : matrices) {
      check(matrix.dim() == 2, "matrices must be (rows, columns)");
      auto* data = numbers<float>(matrix, ScalarType::Float, matrix.numel(),
                                  "matrices must be contiguous float32, and on the CPU");
      if (matrix.numel() > 0) views.push_back({data, matrix.size(0), matrix.size(1)});
    }
    const training::NewtonSchulz iteration{
        static_cast<float>(factors[0]), static_cast<float>(factors[1]), static_cast<float>(factors[2]),
        in_range("the number of iterations", options[1], 0, 1000), static_cast<float>(factors[3])};
    training::orthogonalize(views, iteration, isa, engine::checked_threads(options[0]));
  });
}

}  // namespace amt
