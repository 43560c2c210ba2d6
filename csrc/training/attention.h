// Attention for training: softmax(scale * query @ key^T) @ value and its gradients, over plain pointers. The meaning is
// amt/ops/reference/attention.py; causal is aligned bottom-right.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace amt::training {

enum class Dtype : int32_t { kFloat32 = 0, kBfloat16 = 1 };

// A tensor (batch, num_heads, seq_len, head_dim). Strides count numbers; that of head_dim is 1.
struct View {
  void* data = nullptr;
  int64_t batch_stride = 0, head_stride = 0, row_stride = 0;
};

struct AttentionCall {
  Dtype dtype = Dtype::kFloat32;  // of all tensors but lse and grad_lse
  int64_t batch = 0, num_heads = 0, query_len = 0, key_len = 0, head_dim = 0;
  bool is_causal = false;
  int64_t window = 0;  // > 0, and then is_causal: a query sees its own position and window - 1 keys before it
  float scale = 1.0f;
  const uint8_t* key_mask = nullptr;       // (batch, key_len), 0 = may not attend; or nullptr
  const int32_t* key_lengths = nullptr;    // (batch): keys from there on are hidden; or nullptr
  const int32_t* query_lengths = nullptr;  // (batch): queries from there on give zeros; or nullptr
  uint32_t dropout_threshold = 0;          // of 2^8: a weight is dropped if its draw is below; see dropout.h
  float keep_scale = 1.0f;                 // what the kept weights are multiplied by
  uint64_t seed = 0;
  // > 0: first each query and key is multiplied by norm_scale / sqrt(mean of its squares + norm_epsilon).
  float norm_scale = 0.0f, norm_epsilon = 0.0f;
  // Then rotary positions of queries and keys, and of their gradients backwards: (batch or 1, seq_len, head_dim) each,
  // or nullptr. Number i becomes x[i] * cosine[i] + x[(i + head_dim / 2) % head_dim] * signed_sine[i].
  const float* cosine = nullptr;
  const float* signed_sine = nullptr;
  int64_t rotary_batch_stride = 0;  // 0: one for all

  View query, key, value, output;
  float* lse = nullptr;  // (batch, num_heads, query_len); -inf for a query that attends to nothing

  // For the gradients:
  View grad_output, grad_query, grad_key, grad_value;
  const float* grad_lse = nullptr;  // as lse; or nullptr: zeros

  // Position of a query among the keys.
  int64_t offset() const { return key_len - query_len; }
};

constexpr int64_t kMaxHeadDim = 128, kHeadDimMultiple = 8;

// Writes output and lse; writes the three gradients. `isa`: see training_kernels.h. Throws std::invalid_argument,
// std::bad_alloc. The bits of the results do not depend on the number of threads.
void attention_forward(const AttentionCall& call, const std::string& isa, int64_t num_threads);
void attention_backward(const AttentionCall& call, const std::string& isa, int64_t num_threads);

}  // namespace amt::training
