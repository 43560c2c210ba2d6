// The layout of packed decoder weights: one walk over all parts, used for sizes, packing and views alike.
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "decoder.h"

namespace amt::engine {
namespace {

constexpr int64_t kMagic = 0x33'52'45'44'4F'43'45'44;  // "DECODER3"

// The shape as numbers: any bytes are numbers, while not all are a bool.
struct Header {
  int64_t magic, bytes;
  int64_t shape[16];
};

struct ToNumbers {
  int64_t* next;
  template <typename Member>
  void operator()(const char*, Member& member) {
    *next++ = static_cast<int64_t>(member);
  }
};

struct FromNumbers {
  const int64_t* next;
  template <typename Member>
  void operator()(const char*, Member& member) {
    member = static_cast<Member>(*next++);
  }
};

int64_t wide_size(const DecoderShape& shape) {
  return shape.activation == Activation::kSwiglu ? 2 * shape.hidden_size : shape.hidden_size;
}

// The parts of the block one after the other, each at a multiple of 64 bytes. `memory` null: only their sizes.
// `tensors` null: a view of what is there already.
class Walk {
 public:
  Walk(std::byte* memory, const std::vector<const float*>* tensors)
      : memory_(memory), tensors_(tensors), offset_(round_up(sizeof(Header), 64)) {}

  // Rows of numbers, each padded with zeros to `stride`.
  const float* rows(int64_t num_rows, int64_t size, int64_t stride) {
    auto* place = reinterpret_cast<float*>(take(num_rows * stride * 4));
    const float* source = next(num_rows * size);
    if (place && source) {
      for (int64_t row = 0; row < num_rows; ++row) {
        std::memcpy(place + row * stride, source + row * size, static_cast<size_t>(size) * 4);
        std::memset(place + row * stride + size, 0, static_cast<size_t>(stride - size) * 4);
      }
    }
    return place;
  }

  const float* vector(int64_t size, int64_t stride) { return rows(1, size, stride); }

  Norm norm(int64_t size) {
    const float* weight = vector(size, size);
    return {weight, vector(size, size)};
  }

  PackedMatrix matrix(NumberType type, int64_t out_features, int64_t in_features) {
    const int64_t padded = round_up(out_features, kPanel);
    std::byte* weights = take(packed_weight_bytes(type, in_features, out_features));
    float* scales = nullptr;
    int32_t* row_sums = nullptr;
    if (type == NumberType::kInt8) {
      scales = reinterpret_cast<float*>(take(padded * 4));
      row_sums = reinterpret_cast<int32_t*>(take(padded * 4));
    }
    const float* source = next(out_features * in_features);
    if (weights && source) pack_weights(type, source, in_features, out_features, weights, scales, row_sums);
    return {type, in_features, out_features, weights, vector(out_features, padded), scales, row_sums};
  }

  int64_t offset() const { return offset_; }
  const std::vector<int64_t>& sizes() const { return sizes_; }

 private:
  std::byte* take(int64_t bytes) {
    std::byte* place = memory_ ? memory_ + offset_ : nullptr;
    offset_ += round_up(bytes, 64);
    return place;
  }

  // The next tensor; checked, since a NaN would come out as damaged music much later.
  const float* next(int64_t size) {
    sizes_.push_back(size);
    if (!tensors_) return nullptr;
    const float* source = tensors_->at(sizes_.size() - 1);
    for (int64_t i = 0; i < size; ++i) {
      if (!std::isfinite(source[i])) {
        throw std::invalid_argument("weight tensor " + std::to_string(sizes_.size() - 1) + " has NaN or infinity at " +
                                    std::to_string(i) + "; the model is damaged");
      }
    }
    return source;
  }

  std::byte* memory_;
  const std::vector<const float*>* tensors_;
  int64_t offset_;
  std::vector<int64_t> sizes_;
};

struct Parts {
  const float* embedding;
  const float* features = nullptr;
  const float* positions[2] = {nullptr, nullptr};
  const float* time_frequency = nullptr;
  std::vector<LayerWeights> layers;
  Norm last_norm{};
  PackedMatrix output;
};

Parts walk_parts(const DecoderShape& shape, Walk& walk) {
  const int64_t d_model = shape.d_model, width = round_up(d_model, kRowAlign), longest = shape.max_sequence_length;
  const NumberType type = shape.dtype;
  Parts parts;
  parts.embedding = walk.rows(shape.vocab_size, d_model, width);
  if (shape.num_feature_columns > 0) parts.features = walk.rows(shape.num_feature_columns, d_model, width);
  switch (shape.positions) {
    case PositionKind::kSinusoidal:
      parts.positions[0] = walk.rows(longest, d_model, d_model);
      break;
    case PositionKind::kRotary:
      parts.positions[0] = walk.rows(longest, shape.head_dim(), shape.head_dim());
      parts.positions[1] = walk.rows(longest, shape.head_dim(), shape.head_dim());
      if (shape.rotary_time) parts.time_frequency = walk.vector(shape.num_timed_pairs(), shape.num_timed_pairs());
      break;
    case PositionKind::kRelative:
      parts.positions[0] = walk.rows(shape.num_heads, longest, longest);
      break;
  }
  for (int64_t index = 0; index < shape.num_layers; ++index) {
    LayerWeights layer{};
    const bool has_cross = shape.cross_index(index) >= 0;
    layer.norms[0] = walk.norm(d_model);
    if (has_cross) layer.norms[1] = walk.norm(d_model);
    layer.norms[2] = walk.norm(d_model);
    layer.query_key_value = walk.matrix(type, 3 * d_model, d_model);
    layer.self_output = walk.matrix(type, d_model, d_model);
    if (has_cross) {
      layer.cross_query = walk.matrix(type, d_model, d_model);
      layer.cross_output = walk.matrix(type, d_model, d_model);
    }
    layer.linear1 = walk.matrix(type, wide_size(shape), d_model);
    layer.linear2 = walk.matrix(type, d_model, shape.hidden_size);
    parts.layers.push_back(layer);
  }
  if (shape.norm_first) parts.last_norm = walk.norm(d_model);
  parts.output = walk.matrix(type, shape.vocab_size, d_model);
  return parts;
}

}  // namespace

int64_t PackedDecoder::bytes(const DecoderShape& shape) {
  shape.check();
  Walk walk(nullptr, nullptr);
  walk_parts(shape, walk);
  return walk.offset();
}

std::vector<int64_t> PackedDecoder::tensor_sizes(const DecoderShape& shape) {
  shape.check();
  Walk walk(nullptr, nullptr);
  walk_parts(shape, walk);
  return walk.sizes();
}

void PackedDecoder::pack(const DecoderShape& shape, const std::vector<const float*>& tensors, std::byte* memory) {
  Header header{};
  header.magic = kMagic;
  header.bytes = bytes(shape);
  ToNumbers to_numbers{header.shape};
  DecoderShape written = shape;
  visit_fields(written, to_numbers);
  Walk walk(memory, &tensors);
  walk_parts(shape, walk);
  std::memcpy(memory, &header, sizeof header);
}

PackedDecoder::PackedDecoder(const std::byte* memory, int64_t size) {
  Header header{};
  if (size >= static_cast<int64_t>(sizeof header)) std::memcpy(&header, memory, sizeof header);
  FromNumbers from_numbers{header.shape};
  if (header.magic == kMagic) visit_fields(shape_, from_numbers);
  if (header.magic != kMagic || header.bytes != size || bytes(shape_) != size) {
    throw std::invalid_argument("these are not packed decoder weights; make them with pack_decoder");
  }
  Walk walk(const_cast<std::byte*>(memory), nullptr);  // written to only where there are tensors
  Parts parts = walk_parts(shape_, walk);
  embedding_ = parts.embedding;
  features = parts.features;
  time_frequency = parts.time_frequency;
  positions[0] = parts.positions[0];
  positions[1] = parts.positions[1];
  layers = std::move(parts.layers);
  last_norm = parts.last_norm;
  output = parts.output;
}

}  // namespace amt::engine
