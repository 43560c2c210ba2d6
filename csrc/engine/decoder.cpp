#include "decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace amt::engine {
namespace {

constexpr float kNormEpsilon = 1e-5f;  // torch.nn.LayerNorm's
// Those of amt.nn.attention.
constexpr float kQueryKeyEpsilon = 1e-6f, kQueryKeyScale = 1.2f;
constexpr int64_t kMaxBundle = 64;

}  // namespace

Decoder::Decoder(const PackedDecoder& weights, const Kernels& kernels, int64_t max_rows, int64_t max_len,
                 int64_t max_threads)
    : weights_(weights),
      shape_(weights.shape()),
      kernels_(kernels),
      width_(round_up(shape_.d_model, kRowAlign)),
      qkv_stride_(round_up(3 * shape_.d_model, kRowAlign)),
      wide_stride_(round_up(weights.layers[0].linear1.out_features, kRowAlign)),
      hidden_stride_(round_up(shape_.hidden_size, kRowAlign)),
      logits_stride_(round_up(shape_.vocab_size, kRowAlign)),
      quantized_stride_(round_up(std::max(shape_.d_model, shape_.hidden_size), 64)),
      scores_len_(round_up(max_len, kRowAlign)),
      x_(max_rows * width_),
      normed_(max_rows * width_),
      qkv_(max_rows * qkv_stride_),
      mixed_(max_rows * width_),
      wide_(max_rows * wide_stride_),
      hidden_(max_rows * hidden_stride_),
      scores_(max_threads * kMaxBundle * scores_len_),
      logits_(max_rows * logits_stride_),
      scales_(max_rows),
      turns_(shape_.rotary_time ? max_rows * 2 * shape_.head_dim() : 0),
      quantized_(is_quantized() ? max_rows * quantized_stride_ : 0) {}

void Decoder::prepare(const GroupCache* groups, const std::vector<Row>& rows, const std::vector<int32_t>& logits_rows,
                      const std::vector<WeightedRow>& features) {
  groups_ = groups;
  features_ = features.data();
  rows_ = rows;
  logits_rows_ = logits_rows;
  bundles_.clear();
  for (size_t index = 0; index < rows.size(); ++index) {
    const Row& row = rows[index];
    const bool continues = index > 0 && rows[index - 1].group == row.group &&
                           rows[index - 1].position == row.position && rows[index - 1].slot + 1 == row.slot &&
                           bundles_.back().num_rows < kMaxBundle;
    if (continues) {
      ++bundles_.back().num_rows;
    } else {
      bundles_.push_back({static_cast<int64_t>(index), 1});
    }
  }
}

void Decoder::run(const Member& member) {
  embed(member);
  const auto num_layers = static_cast<int64_t>(weights_.layers.size());
  for (int64_t index = 0; index < num_layers; ++index) {
    const LayerWeights& layer = weights_.layers[index];
    const bool has_cross = shape_.cross_index(index) >= 0;
    self_attention(member, index);
    next_input(member, layer.norms[has_cross ? 1 : 2], layer.norms[0]);
    if (has_cross) {
      cross_attention(member, index);
      next_input(member, layer.norms[2], layer.norms[1]);
    }
    feed_forward(member, layer);
    if (index + 1 < num_layers || !shape_.norm_first) {
      next_input(member, index + 1 < num_layers ? weights_.layers[index + 1].norms[0] : Norm{}, layer.norms[2]);
    }
  }
  output(member);
}

void Decoder::embed(const Member& member) {
  const auto scale =
      shape_.positions == PositionKind::kSinusoidal ? static_cast<float>(std::sqrt(double(shape_.d_model))) : 1.0f;
  const Range rows = member.part(static_cast<int64_t>(rows_.size()));
  for (int64_t row = rows.first; row < rows.last; ++row) {
    const float* embedding = weights_.embedding(rows_[row].token);
    float* x = x_.data() + row * width_;
    std::copy_n(embedding, width_, x);
    if (shape_.positions == PositionKind::kSinusoidal) {
      const float* table = weights_.positions[0] + rows_[row].position * shape_.d_model;
      for (int64_t i = 0; i < shape_.d_model; ++i) x[i] = embedding[i] * scale + table[i];
    }
    if (weights_.features != nullptr) {
      kernels_.add_rows(weights_.features, width_, features_ + rows_[row].first_feature,
                        rows_[row].last_feature - rows_[row].first_feature, x);
    }
    if (shape_.rotary_time) turn_by_time(row);
  }
  if (shape_.norm_first) {
    const Norm& norm = weights_.layers[0].norms[0];
    kernels_.layer_norm(x_.data(), width_, shape_.d_model, rows.first, rows.last, norm.weight, norm.bias, kNormEpsilon,
                        normed_.data(), width_);
  }
  quantize(input(), width_, shape_.d_model, rows);
  member.wait();
}

// Cosine and signed sine of a row: the tables of its position, the last pairs by its musical time.
void Decoder::turn_by_time(int64_t row) {
  const int64_t head_dim = shape_.head_dim(), num_pairs = shape_.num_timed_pairs(), start = head_dim / 2 - num_pairs;
  float *cosine = turns_.data() + row * 2 * head_dim, *sine = cosine + head_dim;
  std::copy_n(weights_.positions[0] + rows_[row].position * head_dim, head_dim, cosine);
  std::copy_n(weights_.positions[1] + rows_[row].position * head_dim, head_dim, sine);
  for (int64_t pair = 0; pair < num_pairs; ++pair) {
    const double angle = static_cast<double>(rows_[row].time) * static_cast<double>(weights_.time_frequency[pair]);
    const int64_t first = start + pair, second = first + head_dim / 2;
    cosine[first] = cosine[second] = static_cast<float>(std::cos(angle));
    sine[second] = static_cast<float>(std::sin(angle));
    sine[first] = -sine[second];
  }
}

// Between two sublayers: with norms first the next one's, else that of the one before.
void Decoder::next_input(const Member& member, const Norm& before, const Norm& after) {
  const Norm& norm = shape_.norm_first ? before : after;
  const Range rows = member.part(static_cast<int64_t>(rows_.size()));
  kernels_.layer_norm(x_.data(), width_, shape_.d_model, rows.first, rows.last, norm.weight, norm.bias, kNormEpsilon,
                      input(), width_);
  quantize(input(), width_, shape_.d_model, rows);
  member.wait();
}

void Decoder::self_attention(const Member& member, int64_t layer) {
  const auto num_rows = static_cast<int64_t>(rows_.size());
  project(member, weights_.layers[layer].query_key_value, input(), width_, num_rows, false, qkv_.data(), qkv_stride_);
  const Range rows = member.part(num_rows);
  for (int64_t row = rows.first; row < rows.last; ++row) {
    float* query = qkv_.data() + row * qkv_stride_;
    if (shape_.qk_norm) {
      kernels_.rms_norm(query, 2 * shape_.num_heads, shape_.head_dim(), kQueryKeyEpsilon, kQueryKeyScale);
    }
    if (shape_.rotary_time) {
      const float* cosine = turns_.data() + row * 2 * shape_.head_dim();
      kernels_.rotate(query, 2 * shape_.num_heads, shape_.head_dim(), cosine, cosine + shape_.head_dim());
    } else if (shape_.positions == PositionKind::kRotary) {
      const int64_t start = rows_[row].position * shape_.head_dim();
      kernels_.rotate(query, 2 * shape_.num_heads, shape_.head_dim(), weights_.positions[0] + start,
                      weights_.positions[1] + start);
    }
    store(rows_[row], query + shape_.d_model, query + 2 * shape_.d_model, layer);
  }
  member.wait();
  attend(member, layer, true);
  add_to_residual(member, weights_.layers[layer].self_output, mixed_.data(), width_);
}

void Decoder::cross_attention(const Member& member, int64_t layer) {
  project(member, weights_.layers[layer].cross_query, input(), width_, static_cast<int64_t>(rows_.size()), false,
          qkv_.data(), qkv_stride_);
  attend(member, layer, false);
  add_to_residual(member, weights_.layers[layer].cross_output, mixed_.data(), width_);
}

void Decoder::feed_forward(const Member& member, const LayerWeights& layer) {
  const auto num_rows = static_cast<int64_t>(rows_.size());
  project(member, layer.linear1, input(), width_, num_rows, false, wide_.data(), wide_stride_);
  const bool is_gated = shape_.activation == Activation::kSwiglu;
  const float* values = is_gated ? hidden_.data() : wide_.data();
  const int64_t stride = is_gated ? hidden_stride_ : wide_stride_;
  const Range rows = member.part(num_rows);
  for (int64_t row = rows.first; row < rows.last; ++row) {
    float* wide = wide_.data() + row * wide_stride_;
    switch (shape_.activation) {
      case Activation::kRelu:
        kernels_.relu(wide, shape_.hidden_size);
        break;
      case Activation::kGelu:
        kernels_.gelu(wide, shape_.hidden_size);
        break;
      case Activation::kSwiglu:
        kernels_.swiglu(wide, wide + shape_.hidden_size, shape_.hidden_size, hidden_.data() + row * hidden_stride_);
        break;
    }
  }
  quantize(values, stride, shape_.hidden_size, rows);
  member.wait();
  project(member, layer.linear2, values, stride, num_rows, true, x_.data(), width_);
}

void Decoder::output(const Member& member) {
  const auto num_rows = static_cast<int64_t>(logits_rows_.size());
  const Range rows = member.part(num_rows);
  for (int64_t index = rows.first; index < rows.last; ++index) {
    const float* x = x_.data() + logits_rows_[index] * width_;
    float* out = mixed_.data() + index * width_;
    if (shape_.norm_first) {
      kernels_.layer_norm(x, width_, shape_.d_model, 0, 1, weights_.last_norm.weight, weights_.last_norm.bias,
                          kNormEpsilon, out, width_);
    } else {
      std::copy_n(x, width_, out);
    }
  }
  quantize(mixed_.data(), width_, shape_.d_model, rows);
  member.wait();
  project(member, weights_.output, mixed_.data(), width_, num_rows, false, logits_.data(), logits_stride_);
}

void Decoder::store(const Row& row, const float* keys, const float* values, int64_t layer) const {
  const GroupCache& group = groups_[row.group];
  const int64_t head_dim = shape_.head_dim();
  const float* sources[2] = {keys, values};
  for (int64_t kind = 0; kind < 2; ++kind) {
    for (int64_t head = 0; head < shape_.num_heads; ++head) {
      const int64_t plane = (layer * 2 + kind) * shape_.num_heads + head;
      const int64_t place = (plane * group.num_slots + row.slot) * group.capacity + row.position;
      kernels_.store(sources[kind] + head * head_dim, 1, head_dim, shape_.cache_type(),
                     group.self + place * shape_.vector_bytes());
    }
  }
}

// From the queries in qkv to mixed; the work is split by bundle and head.
void Decoder::attend(const Member& member, int64_t layer, bool is_self) {
  lap(member, times.rows);
  const NumberType type = shape_.cache_type();
  const int64_t head_dim = shape_.head_dim(), stride = vector_stride(type, head_dim);
  AttentionCall call{};
  call.head_dim = head_dim;
  call.query_stride = qkv_stride_;
  call.cache_type = type;
  call.position_stride = stride;
  call.scale = static_cast<float>(1.0 / std::sqrt(double(head_dim)));
  call.scores = scores_.data() + member.index * kMaxBundle * scores_len_;
  call.out_stride = width_;
  const Range items = member.part(static_cast<int64_t>(bundles_.size()) * shape_.num_heads);
  const int64_t cache_layer = is_self ? layer : shape_.cross_index(layer);
  // The first position that a row sees of its own.
  const auto first_seen = [&](const Row& row) { return std::max<int64_t>(0, row.position + 1 - shape_.window(layer)); };
  // Where the first key (kind 0) or value (1) that an item sees lies.
  const auto plane = [&](int64_t item, int64_t kind) {
    const Row& row = rows_[bundles_[item / shape_.num_heads].first_row];
    const GroupCache& group = groups_[row.group];
    const int64_t num_vectors = is_self ? group.num_slots * group.capacity : group.memory_len;
    const int64_t index = (cache_layer * 2 + kind) * shape_.num_heads + item % shape_.num_heads;
    const int64_t place = index * num_vectors + (is_self ? first_seen(row) : 0);
    return (is_self ? group.self : group.memory) + place * shape_.vector_bytes();
  };
  for (int64_t item = items.first; item < items.last; ++item) {
    const Bundle& bundle = bundles_[item / shape_.num_heads];
    const int64_t head = item % shape_.num_heads;
    const Row& row = rows_[bundle.first_row];
    const GroupCache& group = groups_[row.group];
    call.num_rows = bundle.num_rows;
    call.query = qkv_.data() + bundle.first_row * qkv_stride_ + head * head_dim;
    call.out = mixed_.data() + bundle.first_row * width_ + head * head_dim;
    call.keys = plane(item, 0);
    call.values = plane(item, 1);
    call.next_keys = item + 1 < items.last ? plane(item + 1, 0) : nullptr;
    if (is_self) {
      const int64_t first = first_seen(row);
      call.length = row.position + 1 - first;
      call.trunk_len =
          bundle.num_rows == 1 ? call.length : std::clamp<int64_t>(group.trunk_len - first, 0, call.length);
      call.slot_stride = group.capacity * stride;
      call.ancestry = group.num_slots == 1 ? nullptr : group.ancestry + row.slot * group.capacity + first;
      call.ancestry_stride = group.capacity;
      call.bias = shape_.positions == PositionKind::kRelative
                      ? weights_.positions[0] + (head + 1) * shape_.max_sequence_length - call.length
                      : nullptr;
      call.mask = nullptr;
    } else {
      call.length = call.trunk_len = group.memory_len;
      call.slot_stride = 0;
      call.ancestry = nullptr;
      call.bias = nullptr;
      call.mask = group.memory_mask;
    }
    kernels_.attend(call);
  }
  member.wait();
  lap(member, times.attention);
}

void Decoder::add_to_residual(const Member& member, const PackedMatrix& matrix, const float* values, int64_t stride) {
  const auto num_rows = static_cast<int64_t>(rows_.size());
  if (is_quantized()) {
    quantize(values, stride, matrix.in_features, member.part(num_rows));
    member.wait();
  }
  project(member, matrix, values, stride, num_rows, true, x_.data(), width_);
}

void Decoder::quantize(const float* values, int64_t stride, int64_t num_features, Range rows) {
  if (!is_quantized()) return;
  kernels_.quantize_rows(values, stride, num_features, rows.first, rows.last, quantized_.data(), quantized_stride_,
                         scales_.data());
}

// A matrix product, split by panels of output features. Ends with a barrier.
void Decoder::project(const Member& member, const PackedMatrix& matrix, const float* values, int64_t stride,
                      int64_t num_rows, bool accumulate, float* out, int64_t out_stride) {
  lap(member, times.rows);
  const Activations x{num_rows, values, stride, quantized_.data(), quantized_stride_, scales_.data()};
  const Range panels = member.part(matrix.num_panels());
  kernels_.matmul(matrix, x, panels.first, panels.last, accumulate, out, out_stride);
  member.wait();
  lap(member, times.matmul);
}

}  // namespace amt::engine
