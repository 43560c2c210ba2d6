// The inner loops of decoding, one set for each instruction set. A kernel takes pointers and a range, allocates
// nothing, starts no thread and knows nothing of models.
//
// Every result of a row depends on that row alone: not on how many rows there are, on the range of panels, or on which
// thread runs it. Sums over in_features and over positions have one fixed order.
#pragma once

#include <cstdint>

namespace amt::engine {

enum class NumberType : int32_t { kFloat32 = 0, kBfloat16 = 1, kInt8 = 2 };

constexpr int64_t kPanel = 16;  // output features that are stored side by side
// Rows of activations are padded with zeros to a multiple of this, in floats, and are 64-byte aligned.
constexpr int64_t kRowAlign = 16;

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// A weight matrix, packed in the order in which it is read. Panel p holds output features 16 p .. 16 p + 15, input
// features outermost, zeros where it is padded:
//   float32   [panel][in]    [16]     in unpadded
//   bfloat16  [panel][in / 2][16][2]  in padded to 2
//   int8      [panel][in / 4][16][4]  in padded to 4; value * scales[out] is the weight
struct PackedMatrix {
  NumberType type;
  int64_t in_features, out_features;
  const void* weights;
  const float* bias;        // (round_up(out_features, 16)), zeros where padded
  const float* scales;      // int8: (round_up(out_features, 16)); else nullptr
  const int32_t* row_sums;  // int8: sum of the 8-bit weights of each output feature, same size; else nullptr
  int64_t num_panels() const { return round_up(out_features, kPanel) / kPanel; }
};

// Rows of activations for `matmul`: `values` always; for int8 weights also what `quantize_rows` made of them.
struct Activations {
  int64_t num_rows;
  const float* values;       // (num_rows, stride)
  int64_t stride;            // in floats, a multiple of 16, >= in_features
  const int8_t* quantized;   // (num_rows, quantized_stride): round(value * (127 / max)), -127..127
  int64_t quantized_stride;  // a multiple of 64, >= in_features; zeros behind in_features
  const float* scales;       // (num_rows): max |value| / 127
};

// How far apart two neighbouring keys or values of a head lie in a cache, in numbers of its type. An 8-bit vector has a
// scale of its own: head_dim numbers, zeros up to a multiple of 4, then the scale as float32.
constexpr int64_t vector_stride(NumberType type, int64_t head_dim) {
  return type == NumberType::kInt8 ? round_up(head_dim, 4) + 4 : head_dim;
}

// Attention of the rows of one sequence (its beams) with one head to `length` cached positions.
// Position p of row r lies in slot ancestry[r * ancestry_stride + p]. Before trunk_len all rows read row 0's slot, and
// each key and value is read once for all of them.
struct AttentionCall {
  int64_t num_rows, head_dim, length, trunk_len;
  const float* query;  // (num_rows, query_stride)
  int64_t query_stride;
  NumberType cache_type;
  const void* keys;  // element (position, slot, i) at position * position_stride + slot * slot_stride + i
  const void* values;
  const void* next_keys;  // of the next call, prefetched meanwhile; or nullptr
  int64_t position_stride, slot_stride;
  const uint8_t* ancestry;  // nullptr: slot 0 everywhere
  int64_t ancestry_stride;
  const float* bias;    // (length), added to the scaled scores of every row; or nullptr
  const uint8_t* mask;  // (length), 0 = may not attend; or nullptr. A row that may attend to nothing gives zeros.
  float scale;
  float* scores;  // scratch, (num_rows, round_up(length, 16))
  float* out;     // (num_rows, out_stride)
  int64_t out_stride;
};

// A row of a table, and how much of it is taken.
struct WeightedRow {
  int32_t row;
  float weight;
};

// One set of kernels. Pointers are never null. Row ranges are [first_row, last_row), panel ranges [first_panel,
// last_panel).
struct Kernels {
  // "generic", "avx2", "avx2_vnni", "avx512", "avx512_vnni", "neon", "neon_dot"
  const char* name;

  // out[r][o] = sum_i values[r][i] * weight[o][i] + bias[o], or with `accumulate` += that. All 16 columns of a panel
  // are written, so padding columns become 0 (or stay what they were).
  void (*matmul)(const PackedMatrix& matrix, const Activations& x, int64_t first_panel, int64_t last_panel,
                 bool accumulate, float* out, int64_t out_stride);
  // Symmetric 8 bits per row; a row of zeros has scale 0. NaN or infinity give an unspecified row, never a fault.
  void (*quantize_rows)(const float* values, int64_t stride, int64_t num_features, int64_t first_row, int64_t last_row,
                        int8_t* quantized, int64_t quantized_stride, float* scales);
  // (x - mean) / sqrt(variance + epsilon) * weight + bias over num_features; zeros behind them. out may be x.
  void (*layer_norm)(const float* x, int64_t stride, int64_t num_features, int64_t first_row, int64_t last_row,
                     const float* weight, const float* bias, float epsilon, float* out, int64_t out_stride);
  // In place over num_features columns; what lies behind stays.
  void (*relu)(float* x, int64_t num_features);
  void (*gelu)(float* x, int64_t num_features);  // exact, with erf
  // out[i] = silu(gate[i]) * x[i]
  void (*swiglu)(const float* gate, const float* x, int64_t num_features, float* out);
  // x (num_heads, head_dim) in place: x[i] * cosine[i] + x[(i + head_dim / 2) % head_dim] * signed_sine[i] for each
  // head.
  void (*rotate)(float* x, int64_t num_heads, int64_t head_dim, const float* cosine, const float* signed_sine);
  // x (num_vectors, size) in place: each vector divided by sqrt(mean of its squares + epsilon), times scale.
  void (*rms_norm)(float* x, int64_t num_vectors, int64_t size, float epsilon, float scale);
  // x (stride) += the rows of a table (any number, stride), each times its weight, one after the other. stride is a
  // multiple of 16.
  void (*add_rows)(const float* table, int64_t stride, const WeightedRow* rows, int64_t num_rows, float* x);
  // Writes num_vectors keys or values of a cache, `vector_stride` apart, rounded to its type (bfloat16: to nearest
  // even; int8: as `quantize_rows`, each vector for itself).
  void (*store)(const float* values, int64_t num_vectors, int64_t head_dim, NumberType type, void* cache);
  void (*attend)(const AttentionCall& call);
  // log(sum(exp(x))) in float32 with the maximum taken out; entries of -inf count nothing. -inf if all are.
  float (*log_sum_exp)(const float* x, int64_t num);
};

// The sets that were built and that this processor runs, the slowest first. Never empty: "generic" is the first.
int64_t num_kernel_sets();
const Kernels& kernel_set(int64_t index);
// The set of that name; the fastest for nullptr or "". Throws std::invalid_argument that lists what there is.
const Kernels& find_kernels(const char* name);

// How many bytes `weights` of a packed matrix take, padding included (a multiple of 64).
int64_t packed_weight_bytes(NumberType type, int64_t in_features, int64_t out_features);
// Packs weight (out_features, in_features) in rows. For int8 also fills scales and row_sums (padded sizes): each output
// feature's scale is max |weight| / 127.
void pack_weights(NumberType type, const float* weight, int64_t in_features, int64_t out_features, void* packed,
                  float* scales, int32_t* row_sums);

}  // namespace amt::engine
