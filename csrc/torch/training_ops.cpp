// The kernels for training as ops: check the tensors, call, translate the error. amt/ops/native_attention.py and
// amt/ops/swiglu.py are their face, and the only ones who call them: what they say of strides and dtypes is believed.
#include "training_ops.h"

#include <stdexcept>

#include "attention.h"
#include "newton_schulz.h"
#include "swiglu.h"
#include "training_kernels.h"

namespace amt {
namespace {

using stable::Tensor;

void check(bool holds, const char* message) {
  if (!holds) throw std::invalid_argument(message);
}

// Only std::runtime_error crosses into torch; the first word says which Python error it becomes.
template <typename Run>
void translating(Run&& run) {
  try {
    run();
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(std::string("ValueError: ") + error.what());
  }
}

// Contiguous numbers; nullptr if there are none.
template <typename T>
T* numbers(const Tensor& tensor, int64_t num, const char* message) {
  if (tensor.numel() == 0) return nullptr;
  check(tensor.numel() == num && tensor.is_contiguous() && tensor.is_cpu(), message);
  return static_cast<T*>(tensor.data_ptr());
}

training::View view(const Tensor& tensor, const training::AttentionCall& call, int64_t seq_len,
                    const int64_t* strides) {
  check(tensor.dim() == 4 && tensor.is_cpu() && tensor.size(0) == call.batch && tensor.size(1) == call.num_heads &&
            tensor.size(2) == seq_len && tensor.size(3) == call.head_dim,
        "the tensors must agree in batch, num_heads, length and head_dim, on the CPU");
  return {tensor.data_ptr(), strides[0], strides[1], strides[2]};
}

constexpr size_t kNumOptions = 6;

// Everything but the views.
training::AttentionCall to_call(const Tensor& query, const Tensor& key, const Tensor& lse, const Tensor& key_mask,
                                const Tensor& key_lengths, const Tensor& query_lengths, const Tensor& cosine,
                                const Tensor& signed_sine, const std::vector<int64_t>& options,
                                const std::vector<double>& factors, size_t num_views) {
  check(query.dim() == 4 && key.dim() == 4, "query and key must be (batch, num_heads, seq_len, head_dim)");
  check(options.size() == kNumOptions + 3 * num_views && factors.size() == 4, "options or factors are missing");
  training::AttentionCall call;
  call.dtype = options[1] != 0 ? training::Dtype::kBfloat16 : training::Dtype::kFloat32;
  call.batch = query.size(0);
  call.num_heads = query.size(1);
  call.query_len = query.size(2);
  call.key_len = key.size(2);
  call.head_dim = query.size(3);
  call.is_causal = options[2] != 0;
  call.window = options[3];
  call.dropout_threshold = static_cast<uint32_t>(options[4]);
  call.seed = static_cast<uint64_t>(options[5]);
  call.scale = static_cast<float>(factors[0]);
  call.keep_scale = static_cast<float>(factors[1]);
  call.norm_scale = static_cast<float>(factors[2]);
  call.norm_epsilon = static_cast<float>(factors[3]);
  call.lse = numbers<float>(lse, call.batch * call.num_heads * call.query_len, "lse has another size");
  call.key_mask = numbers<const uint8_t>(key_mask, call.batch * call.key_len, "key_mask must be (batch, key_len)");
  call.key_lengths = numbers<const int32_t>(key_lengths, call.batch, "key_lengths must be (batch)");
  call.query_lengths = numbers<const int32_t>(query_lengths, call.batch, "query_lengths must be (batch)");
  if (cosine.numel() > 0) {
    check(call.query_len == call.key_len, "with rotary positions queries and keys have one length");
    const int64_t size = call.query_len * call.head_dim;
    call.rotary_batch_stride = cosine.numel() == size ? 0 : size;
    const int64_t num = call.rotary_batch_stride == 0 ? size : call.batch * size;
    call.cosine = numbers<const float>(cosine, num, "cosine must be (seq_len, head_dim) or (batch, seq_len, head_dim)");
    call.signed_sine = numbers<const float>(signed_sine, num, "signed_sine must be as cosine");
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
        to_call(query, key, lse, key_mask, key_lengths, query_lengths, cosine, signed_sine, options, factors, 4);
    const int64_t* strides = options.data() + kNumOptions;
    call.query = view(query, call, call.query_len, strides);
    call.key = view(key, call, call.key_len, strides + 3);
    call.value = view(value, call, call.key_len, strides + 6);
    call.output = view(output, call, call.query_len, strides + 9);
    training::attention_forward(call, isa, options[0]);
  });
}

void attention_backward(Tensor query, Tensor key, Tensor value, Tensor output, Tensor lse, Tensor grad_output,
                        Tensor grad_lse, Tensor grad_query, Tensor grad_key, Tensor grad_value, Tensor key_mask,
                        Tensor key_lengths, Tensor query_lengths, Tensor cosine, Tensor signed_sine,
                        std::vector<int64_t> options, std::vector<double> factors, std::string isa) {
  translating([&] {
    training::AttentionCall call =
        to_call(query, key, lse, key_mask, key_lengths, query_lengths, cosine, signed_sine, options, factors, 8);
    call.grad_lse = numbers<const float>(grad_lse, lse.numel(), "grad_lse must be as lse");
    const int64_t* strides = options.data() + kNumOptions;
    call.query = view(query, call, call.query_len, strides);
    call.key = view(key, call, call.key_len, strides + 3);
    call.value = view(value, call, call.key_len, strides + 6);
    call.output = view(output, call, call.query_len, strides + 9);
    call.grad_output = view(grad_output, call, call.query_len, strides + 12);
    call.grad_query = view(grad_query, call, call.query_len, strides + 15);
    call.grad_key = view(grad_key, call, call.key_len, strides + 18);
    call.grad_value = view(grad_value, call, call.key_len, strides + 21);
    training::attention_backward(call, isa, options[0]);
  });
}

void swiglu(Tensor input, Tensor grad_output, Tensor output, std::vector<int64_t> options, std::string isa) {
  translating([&] {
    check(options.size() == 2, "options has 2 numbers");
    check(input.dim() == 2 && input.size(1) % 2 == 0, "input must be (num_rows, 2 * hidden)");
    const int64_t num = input.numel();
    training::SwigluCall call;
    call.dtype = options[1] != 0 ? training::Dtype::kBfloat16 : training::Dtype::kFloat32;
    call.num_rows = input.size(0);
    call.hidden = input.size(1) / 2;
    call.input = numbers<void>(input, num, "input must be contiguous");
    call.grad_output = numbers<void>(grad_output, num / 2, "grad_output must be (num_rows, hidden)");
    call.output = numbers<void>(output, call.grad_output == nullptr ? num / 2 : num, "output has another size");
    if (num > 0) training::swiglu(call, isa, options[0]);
  });
}

void orthogonalize(std::vector<Tensor> matrices, std::vector<int64_t> options, std::vector<double> factors,
                   std::string isa) {
  translating([&] {
    check(options.size() == 2 && factors.size() == 4, "options has 2 numbers, factors 4");
    std::vector<training::Matrix> views;
    for (const Tensor& matrix : matrices) {
      check(matrix.dim() == 2 && matrix.scalar_type() == stable::ScalarType::Float,
            "matrices must be (rows, columns) float32");
      auto* data = numbers<float>(matrix, matrix.numel(), "matrices must be contiguous and on the CPU");
      if (data != nullptr) views.push_back({data, matrix.size(0), matrix.size(1)});
    }
    const training::NewtonSchulz iteration{static_cast<float>(factors[0]), static_cast<float>(factors[1]),
                                           static_cast<float>(factors[2]), options[1], static_cast<float>(factors[3])};
    training::orthogonalize(views, iteration, isa, options[0]);
  });
}

}  // namespace amt
