// The ops of ../training, which ops.cpp registers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensor.h"

namespace amt {

constexpr const char* kAttentionForwardSchema =
    "native_attention_forward_(Tensor query, Tensor key, Tensor value, Tensor(a!) output, Tensor(b!) lse, "
    "Tensor key_mask, Tensor key_lengths, Tensor query_lengths, Tensor cosine, Tensor signed_sine, int[] options, "
    "float[] factors, str isa) -> ()";
constexpr const char* kAttentionBackwardSchema =
    "native_attention_backward_(Tensor query, Tensor key, Tensor value, Tensor output, Tensor lse, Tensor grad_output, "
    "Tensor grad_lse, Tensor(a!) grad_query, Tensor(b!) grad_key, Tensor(c!) grad_value, Tensor key_mask, "
    "Tensor key_lengths, Tensor query_lengths, Tensor cosine, Tensor signed_sine, int[] options, float[] factors, str "
    "isa) -> ()";

constexpr const char* kSwigluSchema =
    "native_swiglu_(Tensor input, Tensor grad_output, Tensor(a!) output, int[] options, str isa) -> ()";

constexpr const char* kOrthogonalizeSchema =
    "native_orthogonalize_(Tensor(a!)[] matrices, int[] options, float[] factors, str isa) -> ()";

// Names of the kernel sets, with commas between; the last is the fastest.
std::string training_kernel_sets();

// query, output and their gradients (batch, num_heads, query_len, head_dim), key, value and theirs with key_len in its
// place: all float32 or all bfloat16, any strides but 1 for head_dim. lse and grad_lse: (batch, num_heads, query_len)
// float32. key_mask (batch, key_len) uint8, 0 = may not attend; key_lengths and query_lengths (batch) int32; cosine and
// signed_sine of rotary positions (seq_len, head_dim) or (batch, seq_len, head_dim) float32, where query and key have
// one length. Empty: grad_lse, key_mask, key_lengths, query_lengths and rotary positions that are not there. options:
// number of threads, is_causal, window (0: none), threshold of dropout, its seed. factors: of scores, and of the
// weights that dropout keeps, then the scale and epsilon of a norm (scale 0: none).
void attention_forward(stable::Tensor query, stable::Tensor key, stable::Tensor value, stable::Tensor output,
                       stable::Tensor lse, stable::Tensor key_mask, stable::Tensor key_lengths,
                       stable::Tensor query_lengths, stable::Tensor cosine, stable::Tensor signed_sine,
                       std::vector<int64_t> options, std::vector<double> factors, std::string isa);
void attention_backward(stable::Tensor query, stable::Tensor key, stable::Tensor value, stable::Tensor output,
                        stable::Tensor lse, stable::Tensor grad_output, stable::Tensor grad_lse,
                        stable::Tensor grad_query, stable::Tensor grad_key, stable::Tensor grad_value,
                        stable::Tensor key_mask, stable::Tensor key_lengths, stable::Tensor query_lengths,
                        stable::Tensor cosine, stable::Tensor signed_sine, std::vector<int64_t> options,
                        std::vector<double> factors, std::string isa);

// input (num_rows, 2 * hidden): gate and x; grad_output empty: output (num_rows, hidden) = silu(gate) * x; else
// grad_output (num_rows, hidden), and output is the gradient of input. All contiguous, and of one dtype. options:
// number of threads.
void swiglu(stable::Tensor input, stable::Tensor grad_output, stable::Tensor output, std::vector<int64_t> options,
            std::string isa);

// In place: contiguous float32 matrices. options: number of threads, of iterations; factors: a, b, c, epsilon.
void orthogonalize(std::vector<stable::Tensor> matrices, std::vector<int64_t> options, std::vector<double> factors,
                   std::string isa);

}  // namespace amt
