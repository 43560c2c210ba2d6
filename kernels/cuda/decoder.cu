#include <cmath>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>

#include "decoder.h"
#include "step_graph.h"

namespace amt::cuda {
namespace {

constexpr float kQueryKeyScale = 1.2f;  // that of amt.nn.attention
constexpr int32_t kMostInputs = 3072;   // of a product: its rows must fit shared memory

int32_t padded(int64_t size) { return static_cast<int32_t>((size + 31) / 32 * 32); }

int32_t stride_of_head(int64_t head_dim) { return head_dim <= 32 ? 32 : head_dim <= 64 ? 64 : 128; }

uint16_t rounded(float value) {  // to nearest, ties to even; weights are finite
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// The tensors one after the other, first to find the size of the block, then to fill it.
class Packer {
 public:
  Packer(const engine::DecoderShape& shape, const std::vector<const float*>& tensors, const std::vector<int64_t>& sizes,
         DeviceBlock& block)
      : shape_(shape), tensors_(tensors), sizes_(sizes), block_(block) {}

  // Rows of numbers, each padded with zeros.
  const float* floats(int64_t num_rows, int64_t size, int64_t stride) {
    const float* source = next(num_rows * size);
    const int64_t place = take(num_rows * stride * 4);
    for (int64_t row = 0; row < num_rows; ++row) {
      std::memcpy(bytes_.data() + place + row * stride * 4, source + row * size, static_cast<size_t>(size) * 4);
    }
    return reinterpret_cast<const float*>(place);
  }

  using Map = std::function<int64_t(int64_t)>;
  // Weights with their rows and columns where `row_at` and `column_at` say, in the type of weights.
  const void* weights(int64_t num_rows, int64_t num_columns, int64_t rows_there, int64_t columns_there,
                      const Map& row_at, const Map& column_at) {
    const float* source = next(num_rows * num_columns);
    const bool is_bfloat = shape_.dtype == engine::NumberType::kBfloat16;
    const int64_t place = take(rows_there * columns_there * (is_bfloat ? 2 : 4));
    std::vector<int64_t> columns;
    for (int64_t column = 0; column < num_columns; ++column) columns.push_back(column_at(column));
    for (int64_t row = 0; row < num_rows; ++row) {
      const int64_t first = row_at(row) * columns_there;
      for (int64_t column = 0; column < num_columns; ++column) {
        const float value = source[row * num_columns + column];
        const int64_t index = first + columns[static_cast<size_t>(column)];
        if (is_bfloat) {
          reinterpret_cast<uint16_t*>(bytes_.data() + place)[index] = rounded(value);
        } else {
          reinterpret_cast<float*>(bytes_.data() + place)[index] = value;
        }
      }
    }
    return reinterpret_cast<const void*>(place);
  }

  DeviceMatrix matrix(int64_t out, int64_t in, int64_t out_there, int64_t in_there, const Map& row_at,
                      const Map& column_at) {
    DeviceMatrix made{weights(out, in, out_there, in_there, row_at, column_at), nullptr, static_cast<int32_t>(in_there),
                      static_cast<int32_t>(out_there)};
    const float* source = next(out);
    const int64_t place = take(out_there * 4);
    auto* bias = reinterpret_cast<float*>(bytes_.data() + place);
    for (int64_t row = 0; row < out; ++row) bias[row_at(row)] = source[row];
    made.bias = reinterpret_cast<const float*>(place);
    return made;
  }

  DeviceNorm norm(int64_t size, int64_t stride) {
    const float* weight = floats(1, size, stride);
    return {weight, floats(1, size, stride)};
  }

  // What has been packed, to the GPU.
  void send(const Stream& stream) {
    if (index_ != tensors_.size()) {
      throw std::invalid_argument("these weights have " + std::to_string(index_) + " tensors, got " +
                                  std::to_string(tensors_.size()));
    }
    block_.take(static_cast<int64_t>(bytes_.size()), 1);
    block_.make("use a GPU with more memory, dtype='bfloat16', or device='cpu'");
    stream.to_device(block_.at(0), bytes_.data(), bytes_.size());
    stream.wait();
  }
  // Where a part lies there that has been an offset so far.
  template <typename T>
  void settle(const T*& pointer) const {
    pointer = reinterpret_cast<const T*>(block_.at(reinterpret_cast<intptr_t>(pointer)));
  }

 private:
  int64_t take(int64_t size) {
    const auto place = static_cast<int64_t>((bytes_.size() + 255) / 256 * 256);
    bytes_.resize(static_cast<size_t>(place + size));
    return place;
  }

  const float* next(int64_t size) {
    const std::string name = "weight tensor " + std::to_string(index_);
    if (index_ >= tensors_.size()) throw std::invalid_argument("there is no " + name);
    if (sizes_[index_] != size) {
      throw std::invalid_argument(name + " has " + std::to_string(sizes_[index_]) + " numbers, expected " +
                                  std::to_string(size));
    }
    const float* source = tensors_[index_++];
    for (int64_t i = 0; i < size; ++i) {
      if (!std::isfinite(source[i])) {
        throw std::invalid_argument(name + " has NaN or infinity at " + std::to_string(i) + "; the model is damaged");
      }
    }
    return source;
  }

  const engine::DecoderShape& shape_;
  const std::vector<const float*>& tensors_;
  const std::vector<int64_t>& sizes_;
  DeviceBlock& block_;
  std::vector<std::byte> bytes_;
  size_t index_ = 0;
};

void check_there_is_a_kernel(const engine::DecoderShape& shape) {
  shape.check();
  const auto refuse = [](const std::string& what) {
    throw std::invalid_argument(what + "; decode on the processor (device='cpu') or with backend='plain'");
  };
  if (shape.dtype == engine::NumberType::kInt8)
    refuse("the GPU kernels have weights of float32 and bfloat16, not int8");
  if (shape.head_dim() > 128) {
    refuse("the GPU kernels have heads of up to 128 numbers, the model's have " + std::to_string(shape.head_dim()));
  }
  const int64_t most =
      std::max(shape.num_heads * stride_of_head(shape.head_dim()), std::max(shape.d_model, shape.hidden_size));
  if (most > kMostInputs) {
    refuse("the GPU kernels have products of up to " + std::to_string(kMostInputs) + " inputs, the model has " +
           std::to_string(most));
  }
}

}  // namespace

DeviceDecoder::DeviceDecoder(int device, const engine::DecoderShape& shape, const std::vector<const float*>& tensors,
                             const std::vector<int64_t>& sizes)
    : device_(device), shape_(shape) {
  check_there_is_a_kernel(shape);
  width_ = padded(shape.d_model);
  head_stride_ = stride_of_head(shape.head_dim());
  hidden_stride_ = padded(shape.hidden_size);
  const Stream stream(device);
  Packer packer(shape, tensors, sizes, block_);
  const int64_t d_model = shape.d_model, head_dim = shape.head_dim(), heads = shape.num_heads;
  const int64_t longest = shape.max_sequence_length;
  const Packer::Map same = [](int64_t i) { return i; };
  // A head's numbers stand at the beginning of its place.
  const Packer::Map in_heads = [&](int64_t i) { return i / head_dim * head_stride_ + i % head_dim; };
  embedding_ = packer.weights(shape.vocab_size, d_model, shape.vocab_size, width_, same, same);
  if (shape.num_feature_columns > 0) {
    features_ = packer.weights(shape.num_feature_columns, d_model, shape.num_feature_columns, width_, same, same);
  }
  switch (shape.positions) {
    case engine::PositionKind::kSinusoidal:
      positions_[0] = packer.floats(longest, d_model, width_);
      break;
    case engine::PositionKind::kRotary:
      positions_[0] = packer.floats(longest, head_dim, head_dim);
      positions_[1] = packer.floats(longest, head_dim, head_dim);
      if (shape.rotary_time) time_frequency_ = packer.floats(1, shape.num_timed_pairs(), shape.num_timed_pairs());
      break;
    case engine::PositionKind::kRelative:
      positions_[0] = packer.floats(heads, longest, longest);
      break;
  }
  const int64_t wide = shape.activation == engine::Activation::kSwiglu ? 2 * shape.hidden_size : shape.hidden_size;
  for (int64_t index = 0; index < shape.num_layers; ++index) {
    DeviceLayer layer;
    const bool has_cross = shape.cross_index(index) >= 0;
    layer.norms[0] = packer.norm(d_model, width_);
    if (has_cross) layer.norms[1] = packer.norm(d_model, width_);
    layer.norms[2] = packer.norm(d_model, width_);
    layer.query_key_value = packer.matrix(3 * d_model, d_model, 3 * mixed_stride(), width_, in_heads, same);
    layer.self_output = packer.matrix(d_model, d_model, d_model, mixed_stride(), same, in_heads);
    if (has_cross) {
      layer.cross_query = packer.matrix(d_model, d_model, mixed_stride(), width_, in_heads, same);
      layer.cross_output = packer.matrix(d_model, d_model, d_model, mixed_stride(), same, in_heads);
    }
    layer.linear1 = packer.matrix(wide, d_model, wide, width_, same, same);
    layer.linear2 = packer.matrix(d_model, shape.hidden_size, d_model, hidden_stride_, same, same);
    layers_.push_back(layer);
  }
  if (shape.norm_first) last_norm_ = packer.norm(d_model, width_);
  output_ = packer.matrix(shape.vocab_size, d_model, shape.vocab_size, width_, same, same);

  packer.send(stream);
  const auto settle_norm = [&](DeviceNorm& norm) {
    packer.settle(norm.weight);
    packer.settle(norm.bias);
  };
  const auto settle_matrix = [&](DeviceMatrix& matrix) {
    packer.settle(matrix.weight);
    packer.settle(matrix.bias);
  };
  packer.settle(embedding_);
  if (shape.num_feature_columns > 0) packer.settle(features_);
  packer.settle(positions_[0]);
  if (shape.positions == engine::PositionKind::kRotary) packer.settle(positions_[1]);
  if (shape.rotary_time) packer.settle(time_frequency_);
  for (int64_t index = 0; index < shape.num_layers; ++index) {
    DeviceLayer& layer = layers_[index];
    const bool has_cross = shape.cross_index(index) >= 0;
    for (int place = 0; place < 3; ++place) {
      if (place != 1 || has_cross) settle_norm(layer.norms[place]);
    }
    for (DeviceMatrix* matrix : {&layer.query_key_value, &layer.self_output, &layer.linear1, &layer.linear2}) {
      settle_matrix(*matrix);
    }
    if (has_cross) settle_matrix(layer.cross_query), settle_matrix(layer.cross_output);
  }
  if (shape.norm_first) settle_norm(last_norm_);
  settle_matrix(output_);
  can_loop_ = amt::cuda::can_loop(stream);
}

void DeviceDecoder::linear(const DeviceMatrix& matrix, const DeviceNorm& norm, const float* x, const float* residual,
                           float* y, int32_t y_stride, Activation activation, const Pass& pass, void* stream) const {
  NormLinear call{};
  call.x = x;
  if (pass.segments == nullptr) {
    call.norm_weight = norm.weight;
    call.norm_bias = norm.bias;
  } else if (norm.weight != nullptr) {  // what attention has written there is not needed any more
    call.x = pass.mixed;
    normed(norm, x, pass.mixed, pass, stream);
  }
  call.weight = matrix.weight;
  call.bias = matrix.bias;
  call.residual = residual;
  call.y = y;
  call.num_rows = pass.num_rows;
  call.in_features = matrix.in_features;
  call.out_features = activation == Activation::kSwiglu ? matrix.out_features / 2 : matrix.out_features;
  call.norm_features = static_cast<int32_t>(shape_.d_model);
  call.y_stride = y_stride;
  call.activation = activation;
  const auto product = pass.segments == nullptr ? amt_cuda_norm_linear : amt_cuda_prefix_linear;
  check_device(product(&call, is_bfloat(), stream), "a product");
}

void DeviceDecoder::normed(const DeviceNorm& norm, const float* x, float* y, const Pass& pass, void* stream) const {
  const Norm call{x, norm.weight, norm.bias, y, pass.num_rows, static_cast<int32_t>(shape_.d_model), width_};
  check_device(amt_cuda_norm(&call, stream), "a norm");
}

// With norms behind the sublayers.
void DeviceDecoder::norm_behind(const DeviceNorm& norm, const Pass& pass, void* stream) const {
  if (!shape_.norm_first) normed(norm, pass.x, pass.x, pass, stream);
}

void DeviceDecoder::attend(const Pass& pass, int64_t layer, bool is_self, void* stream) const {
  const int64_t index = is_self ? layer : shape_.cross_index(layer);
  const int64_t start = index * (is_self ? pass.layer_numbers : pass.memory_layer_numbers) * number_bytes();
  DecodeAttention call{};
  call.query = pass.query_key_value;
  call.keys = static_cast<const std::byte*>(is_self ? pass.keys : pass.memory_keys) + start;
  call.values = static_cast<const std::byte*>(is_self ? pass.values_of_keys : pass.memory_values) + start;
  call.partial = pass.partial;
  call.arrivals = pass.arrivals;
  call.out = pass.mixed;
  call.num_prompts = pass.num_prompts;
  call.num_heads = static_cast<int32_t>(shape_.num_heads);
  call.num_beams = pass.num_beams;
  call.head_dim = head_stride_;
  call.query_stride = (is_self ? 3 : 1) * mixed_stride();
  call.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape_.head_dim())));
  if (is_self) {
    call.ancestry = pass.ancestry;
    call.lengths = pass.lengths;
    call.trunk_lengths = pass.trunk_lengths;
    call.num_slots = pass.num_beams;
    call.capacity = pass.capacity;
    call.num_ancestries = pass.num_ancestries;
    const int64_t window = shape_.window(layer);
    call.window = window < pass.capacity ? static_cast<int32_t>(window) : 0;
    call.bias = shape_.positions == engine::PositionKind::kRelative ? positions_[0] : nullptr;
    call.bias_len = static_cast<int32_t>(shape_.max_sequence_length);
  } else {
    call.memories = pass.memories;
    call.lengths = pass.memory_lengths;
    call.mask = pass.memory_mask;
    call.num_slots = 1;
    call.capacity = pass.memory_capacity;
  }
  if (pass.segments != nullptr) return attend_to_prefix(pass, call, stream);
  check_device(amt_cuda_decode_attention(&call, is_bfloat(), stream), "attention");
}

// The same keys and values, with the queries of prefixes.
void DeviceDecoder::attend_to_prefix(const Pass& pass, const DecodeAttention& of_step, void* stream) const {
  PrefixAttention call{};
  call.query = of_step.query;
  call.keys = of_step.keys;
  call.values = of_step.values;
  call.segments = pass.segments;
  call.memories = of_step.memories;
  call.lengths = of_step.memories == nullptr ? nullptr : of_step.lengths;
  call.mask = of_step.mask;
  call.bias = of_step.bias;
  call.out = of_step.out;
  call.num_segments = pass.num_segments;
  call.longest_segment = pass.longest_segment;
  call.num_heads = of_step.num_heads;
  call.num_slots = of_step.num_slots;
  call.head_dim = of_step.head_dim;
  call.capacity = of_step.capacity;
  call.query_stride = of_step.query_stride;
  call.bias_len = of_step.bias_len;
  call.window = of_step.window;
  call.scale = of_step.scale;
  check_device(amt_cuda_prefix_attention(&call, is_bfloat(), stream), "attention of a prefix");
}

void DeviceDecoder::place_keys(const Pass& pass, int64_t layer, void* stream) const {
  const int64_t start = layer * pass.layer_numbers * number_bytes();
  PlaceKeys call{};
  call.query_key_value = pass.query_key_value;
  call.keys = static_cast<std::byte*>(pass.keys) + start;
  call.values = static_cast<std::byte*>(pass.values_of_keys) + start;
  call.turns = pass.turns;
  call.row_positions = pass.row_positions;
  call.row_prompts = pass.row_prompts;
  call.lengths = pass.segments == nullptr ? pass.lengths : nullptr;
  call.num_rows = pass.num_rows;
  call.num_beams = pass.num_beams;
  call.num_heads = static_cast<int32_t>(shape_.num_heads);
  call.head_dim = static_cast<int32_t>(shape_.head_dim());
  call.head_stride = head_stride_;
  call.capacity = pass.capacity;
  call.norm_scale = shape_.qk_norm ? kQueryKeyScale : 0.0f;
  check_device(amt_cuda_place_keys(&call, is_bfloat(), stream), "keys and values");
}

void DeviceDecoder::run(const Pass& pass, void* stream) const {
  const bool is_sinusoidal = shape_.positions == engine::PositionKind::kSinusoidal;
  const float scale = is_sinusoidal ? static_cast<float>(std::sqrt(static_cast<double>(shape_.d_model))) : 1.0f;
  const Embed embed{pass.token_ids,
                    embedding_,
                    features_,
                    pass.num_entries,
                    pass.columns,
                    pass.values,
                    is_sinusoidal ? positions_[0] : nullptr,
                    pass.row_positions,
                    pass.x,
                    pass.num_rows,
                    width_,
                    pass.max_entries,
                    scale};
  check_device(amt_cuda_embed(&embed, is_bfloat(), stream), "embedding");
  const DeviceNorm none;
  const auto norm = [&](const DeviceNorm& own) { return shape_.norm_first ? own : none; };
  const Activation activation = shape_.activation == engine::Activation::kRelu   ? Activation::kRelu
                                : shape_.activation == engine::Activation::kGelu ? Activation::kGelu
                                                                                 : Activation::kSwiglu;
  for (int64_t index = 0; index < shape_.num_layers; ++index) {
    const DeviceLayer& layer = layers_[index];
    linear(layer.query_key_value, norm(layer.norms[0]), pass.x, nullptr, pass.query_key_value, 3 * mixed_stride(),
           Activation::kNone, pass, stream);
    place_keys(pass, index, stream);
    if (pass.segments != nullptr && index + 1 == shape_.num_layers) return;
    attend(pass, index, true, stream);
    linear(layer.self_output, none, pass.mixed, pass.x, pass.x, width_, Activation::kNone, pass, stream);
    norm_behind(layer.norms[0], pass, stream);
    if (shape_.cross_index(index) >= 0) {
      linear(layer.cross_query, norm(layer.norms[1]), pass.x, nullptr, pass.query_key_value, mixed_stride(),
             Activation::kNone, pass, stream);
      attend(pass, index, false, stream);
      linear(layer.cross_output, none, pass.mixed, pass.x, pass.x, width_, Activation::kNone, pass, stream);
      norm_behind(layer.norms[1], pass, stream);
    }
    linear(layer.linear1, norm(layer.norms[2]), pass.x, nullptr, pass.wide, hidden_stride_, activation, pass, stream);
    linear(layer.linear2, none, pass.wide, pass.x, pass.x, width_, Activation::kNone, pass, stream);
    norm_behind(layer.norms[2], pass, stream);
  }
  linear(output_, norm(last_norm_), pass.x, nullptr, pass.logits, logits_stride(), Activation::kNone, pass, stream);
}

}  // namespace amt::cuda
