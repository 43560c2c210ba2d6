// The decoder of a MusicTransformer, one position for each row: packed weights, caches, and the pass over all layers.
// What it computes is amt.models.MusicTransformer.decode_step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "aligned.h"
#include "decoder_shape.h"
#include "kernels.h"
#include "team.h"

namespace amt::engine {

struct Norm {
  const float *weight, *bias;
};

struct LayerWeights {
  Norm norms[3];
  // Without cross-attention its matrices and norms[1] are empty.
  PackedMatrix query_key_value, self_output, cross_query{}, cross_output{}, linear1, linear2;
};

// A view of the packed weights of a decoder, one block of bytes.
class PackedDecoder {
 public:
  static int64_t bytes(const DecoderShape& shape);
  // How many numbers are in each tensor that `pack` takes, float32 in rows, in this order: token_embedding (vocab_size,
  // d_model); with state features their table (num_feature_columns, d_model); positions: sinusoidal (max_len, d_model),
  // rotary cosine and signed sine (max_len, head_dim) each and with rotary_time frequencies (num_timed_pairs), relative
  // (num_heads, max_len): the bias of the last query on every key; for each layer norm1..3 and query_key_value,
  // self_output, cross_query, cross_output, linear1, linear2, each weight then bias (norm2, cross_query and
  // cross_output only where the layer reads the memory); with norm_first the last norm's weight and bias; the output's
  // weight and bias.
  static std::vector<int64_t> tensor_sizes(const DecoderShape& shape);
  // memory: 64-byte aligned. Throws std::invalid_argument if a weight is NaN or infinite.
  static void pack(const DecoderShape& shape, const std::vector<const float*>& tensors, std::byte* memory);

  // Throws std::invalid_argument if the block is not what `pack` wrote.
  PackedDecoder(const std::byte* memory, int64_t size);

  const DecoderShape& shape() const { return shape_; }
  const float* embedding(int64_t token) const { return embedding_ + token * round_up(shape_.d_model, kRowAlign); }
  const float* features;        // a table of rows as wide as an embedding's; null without state features
  const float* positions[2];    // by the kind of positions
  const float* time_frequency;  // null without rotary_time
  std::vector<LayerWeights> layers;
  Norm last_norm;  // null without norm_first
  PackedMatrix output;

 private:
  DecoderShape shape_;
  const float* embedding_;
};

// Keys and values of one sequence group (a prompt's beams, or its samples), which share a memory.
struct GroupCache {
  std::byte* self;  // [layer][key, value][head][slot][position][vector_bytes]
  int64_t num_slots, capacity;
  uint8_t* ancestry;        // [row][capacity]: the slot in which a row finds a position
  int64_t trunk_len;        // before it all rows find the same slot
  const std::byte* memory;  // [layer that reads it][key, value][head][position][vector_bytes]
  int64_t memory_len;
  const uint8_t* memory_mask;  // (memory_len), 0 = may not attend; or nullptr
};

// One row of a pass: `token` stands at `position` of the sequence in `slot` of a group.
struct Row {
  int32_t token, position, group, slot;
  // What state features say of it: which of the pass's, and the step.
  int32_t first_feature = 0, last_feature = 0;
  int64_t time = 0;
};

// Passes of at most max_rows rows by at most max_threads threads, over positions and memories of at most max_len.
class Decoder {
 public:
  Decoder(const PackedDecoder& weights, const Kernels& kernels, int64_t max_rows, int64_t max_len, int64_t max_threads);

  // Sets the rows of the next pass and those whose logits are wanted, ascending. By one thread. features: of all rows;
  // they must stay until the pass is over.
  void prepare(const GroupCache* groups, const std::vector<Row>& rows, const std::vector<int32_t>& logits_rows,
               const std::vector<WeightedRow>& features);
  // The pass, called by all threads of a team; afterwards the caches hold the rows' positions. Ends with a barrier.
  void run(const Member& member);

  const float* logits(int64_t index) const { return logits_.data() + index * logits_stride_; }  // of logits_rows[index]
  int64_t logits_stride() const { return logits_stride_; }

  // The time of all passes so far, and the watch that measures it; of the first thread alone.
  StageTimes times;
  Stopwatch watch;

 private:
  struct Bundle {  // rows of one group at one position, in neighbouring slots: they share what they read
    int64_t first_row, num_rows;
  };

  void embed(const Member& member);
  void turn_by_time(int64_t row);
  void self_attention(const Member& member, int64_t layer);
  void cross_attention(const Member& member, int64_t layer);
  void feed_forward(const Member& member, const LayerWeights& layer);
  void output(const Member& member);
  void store(const Row& row, const float* keys, const float* values, int64_t layer) const;
  void attend(const Member& member, int64_t layer, bool is_self);
  void next_input(const Member& member, const Norm& before, const Norm& after);
  void quantize(const float* values, int64_t stride, int64_t num_features, Range rows);
  void project(const Member& member, const PackedMatrix& matrix, const float* values, int64_t stride, int64_t num_rows,
               bool accumulate, float* out, int64_t out_stride);
  void add_to_residual(const Member& member, const PackedMatrix& matrix, const float* values, int64_t stride);
  // What the next sublayer reads.
  float* input() { return shape_.norm_first ? normed_.data() : x_.data(); }
  void lap(const Member& member, int64_t& stage) {
    if (member.index == 0) watch.lap(stage);
  }
  bool is_quantized() const { return shape_.dtype == NumberType::kInt8; }

  const PackedDecoder& weights_;
  const DecoderShape shape_;
  const Kernels& kernels_;
  const GroupCache* groups_ = nullptr;
  const WeightedRow* features_ = nullptr;
  std::vector<Row> rows_;
  std::vector<int32_t> logits_rows_;
  std::vector<Bundle> bundles_;
  // Strides of rows, in numbers.
  const int64_t width_, qkv_stride_, wide_stride_, hidden_stride_, logits_stride_, quantized_stride_, scores_len_;
  // x: the residual stream; wide: what linear1 gives; hidden: what linear2 reads, with SwiGLU.
  // turns: with rotary_time cosine and signed sine of each row.
  AlignedVector<float> x_, normed_, qkv_, mixed_, wide_, hidden_, scores_, logits_, scales_, turns_;
  AlignedVector<int8_t> quantized_;
};

}  // namespace amt::engine
