// A decoder on a GPU: its weights, and one pass over all layers by the kernels of this folder. What it must equal:
// csrc/engine/decoder.cpp, and so `MusicTransformer.decode_step`.
#pragma once

#include <cstdint>
#include <vector>

#include "decoder_shape.h"
#include "kernels.h"
#include "memory.h"

namespace amt::cuda {

struct DeviceNorm {
  const float *weight = nullptr, *bias = nullptr;
};

struct DeviceMatrix {
  const void* weight = nullptr;
  const float* bias = nullptr;
  int32_t in_features = 0, out_features = 0;
};

struct DeviceLayer {
  DeviceNorm norms[3];
  DeviceMatrix query_key_value, self_output, cross_query, cross_output, linear1, linear2;
};

// What a pass works on, all in the GPU's memory. Rows are (num_texts, num_prompts, num_beams), or positions of prefixes
// in segments.
struct Pass {
  int32_t num_prompts;  // texts counted, too
  int32_t num_rows, num_ancestries, num_beams, capacity, memory_capacity, max_entries;
  const Segment* segments;  // null: a step
  const int32_t* row_prompts;
  int32_t num_segments, longest_segment;
  const int32_t *token_ids, *row_positions, *num_entries, *columns;
  const float *values, *turns;
  const int32_t *lengths, *trunk_lengths;
  const uint8_t* ancestry;
  const int32_t *memories, *memory_lengths;  // of each prompt
  const uint8_t* memory_mask;
  void *keys, *values_of_keys;  // (num_layers, ...), each layer as DecodeAttention has it
  const void *memory_keys, *memory_values;
  int64_t layer_numbers, memory_layer_numbers;  // how many numbers a layer has of them
  float *x, *query_key_value, *mixed, *wide, *logits;
  float* partial;
  uint32_t* arrivals;
};

class DeviceDecoder {
 public:
  // tensors: float32, on the CPU, in the order of engine::PackedDecoder; sizes: how many numbers each has. Weights and
  // caches are bfloat16 or float32, as shape.dtype says. Throws std::invalid_argument for what does not fit, and for
  // what these kernels do not have.
  DeviceDecoder(int device, const engine::DecoderShape& shape, const std::vector<const float*>& tensors,
                const std::vector<int64_t>& sizes);

  const engine::DecoderShape& shape() const { return shape_; }
  int device() const { return device_; }
  // Whether steps can run in a loop on this GPU.
  bool can_loop() const { return can_loop_; }
  bool is_bfloat() const { return shape_.dtype == engine::NumberType::kBfloat16; }
  int64_t number_bytes() const { return is_bfloat() ? 2 : 4; }
  // Sizes in memory: of a row, of a head, of what linear2 reads.
  int32_t width() const { return width_; }
  int32_t head_stride() const { return head_stride_; }
  int32_t hidden_stride() const { return hidden_stride_; }
  int32_t mixed_stride() const { return static_cast<int32_t>(shape_.num_heads) * head_stride_; }
  int32_t logits_stride() const { return static_cast<int32_t>(shape_.vocab_size); }
  const float* turn_table(int kind) const { return positions_[kind]; }  // cosine, sine
  const float* time_frequency() const { return time_frequency_; }

  // From the tokens of all rows to their logits; keys and values of their positions join the cache. Prefixes have no
  // logits: of them only keys and values are wanted.
  void run(const Pass& pass, void* stream) const;

 private:
  void linear(const DeviceMatrix& matrix, const DeviceNorm& norm, const float* x, const float* residual, float* y,
              int32_t y_stride, Activation activation, const Pass& pass, void* stream) const;
  void normed(const DeviceNorm& norm, const float* x, float* y, const Pass& pass, void* stream) const;
  void norm_behind(const DeviceNorm& norm, const Pass& pass, void* stream) const;
  void place_keys(const Pass& pass, int64_t layer, void* stream) const;
  void attend(const Pass& pass, int64_t layer, bool is_self, void* stream) const;
  void attend_to_prefix(const Pass& pass, const DecodeAttention& of_step, void* stream) const;

  int device_;
  bool can_loop_ = false;
  engine::DecoderShape shape_;
  int32_t width_, head_stride_, hidden_stride_;
  DeviceBlock block_;
  const void *embedding_ = nullptr, *features_ = nullptr;
  const float* positions_[2] = {nullptr, nullptr};
  const float* time_frequency_ = nullptr;
  std::vector<DeviceLayer> layers_;
  DeviceNorm last_norm_;
  DeviceMatrix output_;
};

}  // namespace amt::cuda
