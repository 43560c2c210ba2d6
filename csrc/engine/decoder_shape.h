// The sizes of a decoder and its kind: what weights are packed for.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <tuple>

#include "kernels.h"

namespace amt::engine {

enum class Activation : int32_t { kRelu = 0, kGelu = 1, kSwiglu = 2 };
enum class PositionKind : int32_t { kSinusoidal = 0, kRotary = 1, kRelative = 2 };

// Their names, as they cross to Python.
constexpr std::array<const char*, 3> names_of(Activation) { return {"relu", "gelu", "swiglu"}; }
constexpr std::array<const char*, 3> names_of(PositionKind) { return {"sinusoidal", "rotary", "relative"}; }
constexpr std::array<const char*, 3> names_of(NumberType) { return {"float32", "bfloat16", "int8"}; }

struct DecoderShape {
  int64_t vocab_size, d_model, num_heads, num_layers;
  int64_t hidden_size;  // what the second linear layer of a feed-forward network reads
  int64_t max_sequence_length;
  bool norm_first;
  Activation activation;
  PositionKind positions;
  NumberType dtype;                 // of weights and caches
  int64_t num_feature_columns = 0;  // of the table of state features; 0: none
  bool rotary_time = false;         // half of the rotary pairs turn by musical time
  bool qk_norm = false;             // queries and keys of self-attention have one length
  int64_t attention_window = 0;     // so many positions are seen by self-attention in all layers but the last; 0: all
  int64_t cross_attention_layers = 0;  // so many layers read the memory; 0: all

  int64_t head_dim() const { return d_model / num_heads; }
  int64_t num_timed_pairs() const { return rotary_time ? head_dim() / 4 : 0; }
  // Whether a pass must know what state features say of its tokens.
  bool reads_state() const { return num_feature_columns > 0 || rotary_time; }
  // How many positions self-attention of a layer sees at most.
  int64_t window(int64_t layer) const {
    return attention_window > 0 && layer + 1 < num_layers ? attention_window : max_sequence_length;
  }
  int64_t num_cross_layers() const { return cross_attention_layers > 0 ? cross_attention_layers : num_layers; }
  // A layer's number among those that read the memory, number i of which is layer i * num_layers / num_cross_layers;
  // -1: it does not read it. Its twin is ModelConfig.layers_with_cross_attention in amt/nn/config.py.
  int64_t cross_index(int64_t layer) const {
    const int64_t index = (layer * num_cross_layers() + num_layers - 1) / num_layers;
    return index * num_layers < (layer + 1) * num_cross_layers() ? index : -1;
  }
  // Caches are rounded as weights are.
  NumberType cache_type() const { return dtype; }
  // Bytes of one key or value of a head.
  int64_t vector_bytes() const {
    const int64_t size = cache_type() == NumberType::kFloat32 ? 4 : cache_type() == NumberType::kBfloat16 ? 2 : 1;
    return vector_stride(cache_type(), head_dim()) * size;
  }
  bool operator==(const DecoderShape& other) const {
    const auto all = [](const DecoderShape& s) {
      return std::make_tuple(s.vocab_size, s.d_model, s.num_heads, s.num_layers, s.hidden_size, s.max_sequence_length,
                             s.norm_first, s.activation, s.positions, s.dtype, s.num_feature_columns, s.rotary_time,
                             s.qk_norm, s.attention_window, s.cross_attention_layers);
    };
    return all(*this) == all(other);
  }
  // Throws std::invalid_argument for sizes that no model has.
  void check() const;
};

template <typename Visitor>
void visit_fields(DecoderShape& shape, Visitor& visit) {
  visit("vocab_size", shape.vocab_size);
  visit("d_model", shape.d_model);
  visit("num_heads", shape.num_heads);
  visit("num_layers", shape.num_layers);
  visit("hidden_size", shape.hidden_size);
  visit("max_sequence_length", shape.max_sequence_length);
  visit("norm_first", shape.norm_first);
  visit("activation", shape.activation);
  visit("positions", shape.positions);
  visit("dtype", shape.dtype);
  visit("num_feature_columns", shape.num_feature_columns);
  visit("rotary_time", shape.rotary_time);
  visit("qk_norm", shape.qk_norm);
  visit("attention_window", shape.attention_window);
  visit("cross_attention_layers", shape.cross_attention_layers);
}

inline void DecoderShape::check() const {
  const auto check_range = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) {
      throw std::invalid_argument(std::string(name) + " must be between " + std::to_string(low) + " and " +
                                  std::to_string(high) + ", got " + std::to_string(value));
    }
  };
  check_range("vocab_size", vocab_size, 1, 1 << 20);
  check_range("d_model", d_model, 2, 1 << 16);
  check_range("num_heads", num_heads, 1, d_model);
  check_range("num_layers", num_layers, 1, 1 << 10);
  check_range("hidden_size", hidden_size, 1, 1 << 18);
  check_range("max_sequence_length", max_sequence_length, 1, 1 << 20);
  check_range("activation", static_cast<int64_t>(activation), 0, 2);
  check_range("positions", static_cast<int64_t>(positions), 0, 2);
  check_range("dtype", static_cast<int64_t>(dtype), 0, 2);
  check_range("num_feature_columns", num_feature_columns, 0, 1 << 15);
  check_range("attention_window", attention_window, 0, 1 << 20);
  check_range("cross_attention_layers", cross_attention_layers, 0, num_layers);
  if ((rotary_time || qk_norm) && positions != PositionKind::kRotary) {
    throw std::invalid_argument("rotary_time and qk_norm need rotary positions");
  }
  if (d_model % (2 * num_heads) != 0) throw std::invalid_argument("d_model must be a multiple of 2 * num_heads");
}

}  // namespace amt::engine
