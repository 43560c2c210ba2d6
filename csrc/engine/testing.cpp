// C functions around the kernels, for tests/engine/test_kernels.py through ctypes. Each takes the name of a set and
// returns 0, or 1 after an error, whose text amt_error() gives.
#include <cstring>
#include <exception>

#include "kernels.h"

using amt::engine::AttentionCall;
using amt::engine::find_kernels;
using amt::engine::NumberType;

namespace {

char error_text[512];

template <class Call>
int guarded(Call call) {
  try {
    call();
    return 0;
  } catch (const std::exception& error) {
    std::strncpy(error_text, error.what(), sizeof(error_text) - 1);
    return 1;
  }
}

}  // namespace

#define AMT_EXPORT extern "C" __attribute__((visibility("default")))

AMT_EXPORT const char* amt_error() { return error_text; }
AMT_EXPORT int64_t amt_num_sets() { return amt::engine::num_kernel_sets(); }
AMT_EXPORT const char* amt_set_name(int64_t index) { return amt::engine::kernel_set(index).name; }

AMT_EXPORT int amt_find(const char* name, const char** found) {
  return guarded([&] { *found = find_kernels(name).name; });
}

AMT_EXPORT int amt_packed_bytes(int32_t type, int64_t in_features, int64_t out_features, int64_t* num_bytes) {
  return guarded(
      [&] { *num_bytes = amt::engine::packed_weight_bytes(static_cast<NumberType>(type), in_features, out_features); });
}

AMT_EXPORT int amt_pack(int32_t type, const float* weight, int64_t in_features, int64_t out_features, void* packed,
                        float* scales, int32_t* row_sums) {
  return guarded([&] {
    amt::engine::pack_weights(static_cast<NumberType>(type), weight, in_features, out_features, packed, scales,
                              row_sums);
  });
}

AMT_EXPORT int amt_matmul(const char* set, const amt::engine::PackedMatrix* matrix, const amt::engine::Activations* x,
                          int64_t first_panel, int64_t last_panel, int32_t accumulate, float* out, int64_t out_stride) {
  return guarded(
      [&] { find_kernels(set).matmul(*matrix, *x, first_panel, last_panel, accumulate != 0, out, out_stride); });
}

AMT_EXPORT int amt_quantize_rows(const char* set, const float* values, int64_t stride, int64_t num_features,
                                 int64_t first_row, int64_t last_row, int8_t* quantized, int64_t quantized_stride,
                                 float* scales) {
  return guarded([&] {
    find_kernels(set).quantize_rows(values, stride, num_features, first_row, last_row, quantized, quantized_stride,
                                    scales);
  });
}

AMT_EXPORT int amt_layer_norm(const char* set, const float* x, int64_t stride, int64_t num_features, int64_t first_row,
                              int64_t last_row, const float* weight, const float* bias, float epsilon, float* out,
                              int64_t out_stride) {
  return guarded([&] {
    find_kernels(set).layer_norm(x, stride, num_features, first_row, last_row, weight, bias, epsilon, out, out_stride);
  });
}

AMT_EXPORT int amt_relu(const char* set, float* x, int64_t num_features) {
  return guarded([&] { find_kernels(set).relu(x, num_features); });
}

AMT_EXPORT int amt_gelu(const char* set, float* x, int64_t num_features) {
  return guarded([&] { find_kernels(set).gelu(x, num_features); });
}

AMT_EXPORT int amt_swiglu(const char* set, const float* gate, const float* x, int64_t num_features, float* out) {
  return guarded([&] { find_kernels(set).swiglu(gate, x, num_features, out); });
}

AMT_EXPORT int amt_rotate(const char* set, float* x, int64_t num_heads, int64_t head_dim, const float* cosine,
                          const float* signed_sine) {
  return guarded([&] { find_kernels(set).rotate(x, num_heads, head_dim, cosine, signed_sine); });
}

AMT_EXPORT int amt_rms_norm(const char* set, float* x, int64_t num_vectors, int64_t size, float epsilon, float scale) {
  return guarded([&] { find_kernels(set).rms_norm(x, num_vectors, size, epsilon, scale); });
}

AMT_EXPORT int amt_add_rows(const char* set, const float* table, int64_t stride, const amt::engine::WeightedRow* rows,
                            int64_t num_rows, float* x) {
  return guarded([&] { find_kernels(set).add_rows(table, stride, rows, num_rows, x); });
}

AMT_EXPORT int amt_store(const char* set, const float* values, int64_t num_vectors, int64_t head_dim, int32_t type,
                         void* cache) {
  return guarded([&] { find_kernels(set).store(values, num_vectors, head_dim, static_cast<NumberType>(type), cache); });
}

AMT_EXPORT int amt_attend(const char* set, const AttentionCall* call) {
  return guarded([&] { find_kernels(set).attend(*call); });
}

AMT_EXPORT int amt_log_sum_exp(const char* set, const float* x, int64_t num, float* result) {
  return guarded([&] { *result = find_kernels(set).log_sum_exp(x, num); });
}
