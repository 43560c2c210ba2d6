// A small model of any kind with random weights, as the ops get it.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "decoder.h"
#include "inputs.h"
#include "small_torch.h"
#include "state_features.h"

namespace amt::fuzz {

constexpr int64_t kMaxLen = 24, kMemoryLen = 3;

// Numbers from -1 to 1.
inline Tensor floats(SplitMix& random, std::vector<int64_t> sizes, Dtype dtype = Dtype::kFloat32) {
  Tensor tensor = Tensor::zeros(std::move(sizes), dtype);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    const float value = static_cast<float>(random.next() % 2001) / 1000.0f - 1.0f;
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (dtype == Dtype::kBfloat16) tensor.data<uint16_t>()[i] = static_cast<uint16_t>(bits >> 16);
    if (dtype == Dtype::kFloat32) tensor.data<float>()[i] = value;
  }
  return tensor;
}

// A small model of any kind, its weights, and what its generations are given.
struct Model {
  std::string shape, vocabulary, features;
  int64_t vocab_size = 0, num_columns = 0;
  int64_t num_cross_layers = 2;
  std::vector<Value> tensors;
  Tensor packed;
};

inline std::string line(const char* name, int64_t value) {
  return std::string(name) + " " + std::to_string(value) + "\n";
}

inline Model any_model(Bytes& bytes, SplitMix& random) {
  Model model;
  const uint8_t kind = bytes.next(), economy = bytes.next();
  midi::VocabularyConfig config = preset(kind & 1, kind & 2 ? 2 : 1);
  if (!config.is_score) config.has_plans_and_edits = config.holds_velocity_by_program = false;
  config.max_time_shift = 4;
  config.num_velocities = 8;
  config.tempos_bpm = {60, 120};
  model.vocabulary = line("is_score", config.is_score) + line("max_time_shift", 4) + line("num_velocities", 8) +
                     line("max_gap_steps", config.max_gap_steps) + "tempos_bpm 60 120\n" +
                     line("holds_velocity_by_program", config.holds_velocity_by_program) +
                     line("has_plans_and_edits", config.has_plans_and_edits);
  model.vocab_size = midi::Vocabulary(config).size();
  const char* const positions = bytes.one_of<const char*>({"rotary", "sinusoidal", "relative"});
  const bool is_rotary = positions[1] == 'o';
  const bool has_features = config.is_score && (kind & 4);
  if (has_features) {
    model.features = model.vocabulary + "features 0 1 2 3 4 5 6 7 8 9 10 11 12 13";
    if (config.has_plans_and_edits) model.features += " 14 15 16 17";
    model.features += "\n";
    model.num_columns = midi::FeatureLayout(model.features).num_columns();
  }
  model.num_cross_layers = economy & 1 ? 1 : 2;
  model.shape =
      line("vocab_size", model.vocab_size) + line("d_model", 16) + line("num_heads", 2) + line("num_layers", 2) +
      line("hidden_size", 24) + line("max_sequence_length", kMaxLen) + line("norm_first", (kind >> 3) & 1) +
      "activation " + bytes.one_of<const char*>({"swiglu", "relu", "gelu"}) + "\npositions " + positions + "\ndtype " +
      bytes.one_of<const char*>({"float32", "bfloat16", "int8"}) + "\n" +
      line("num_feature_columns", model.num_columns) + line("rotary_time", is_rotary && has_features && (economy & 2)) +
      line("qk_norm", is_rotary && (economy & 4)) + line("attention_window", economy & 8 ? 5 : 0) +
      line("cross_attention_layers", economy & 1);
  const auto sizes = from_text<engine::DecoderShape>(model.shape);
  for (const int64_t size : engine::PackedDecoder::tensor_sizes(sizes)) model.tensors.push_back(floats(random, {size}));
  model.packed = Tensor::zeros({engine::PackedDecoder::bytes(sizes)}, Dtype::kUint8);
  call_op("pack_decoder_", {model.packed, model.shape, model.tensors});
  return model;
}

}  // namespace amt::fuzz
