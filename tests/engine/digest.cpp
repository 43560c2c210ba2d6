// Prints, for each set of kernels, numbers that stand for every bit of its results, to be compared between processors:
// neon.sh does so. All sets that fuse multiply-add must print the same; for 8-bit weights "generic", too.
#include <cstdio>
#include <vector>

#include "kernels.h"

using namespace amt::engine;

namespace {

std::vector<float> numbers(size_t size, uint32_t seed) {
  std::vector<float> values(size);
  for (float& value : values) {
    seed = seed * 1664525 + 1013904223;
    value = static_cast<float>(static_cast<int32_t>(seed) >> 8) * 2e-7f;
  }
  return values;
}

template <class T>
uint32_t digest(const std::vector<T>& values) {
  uint32_t hash = 2166136261u;
  const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
  for (size_t i = 0; i < values.size() * sizeof(T); ++i) hash = (hash ^ bytes[i]) * 16777619u;
  return hash;
}

uint32_t product(const Kernels& kernels, NumberType type, int64_t num_rows) {
  const int64_t in_features = 531, out_features = 83, columns = 96, stride = 544, bytes_stride = 576;
  std::vector<uint8_t> packed(static_cast<size_t>(packed_weight_bytes(type, in_features, out_features)));
  std::vector<float> weight = numbers(531 * 83, 1), bias = numbers(96, 2), scales(96), x_scales(33), out(33 * 96);
  std::vector<float> x = numbers(33 * 544, 3);
  for (size_t i = 0; i < x.size(); ++i) x[i] = i % 544 < 531 ? x[i] : 0.0f;
  std::vector<int32_t> row_sums(96);
  std::vector<int8_t> quantized(33 * 576);
  pack_weights(type, weight.data(), in_features, out_features, packed.data(), scales.data(), row_sums.data());
  kernels.quantize_rows(x.data(), stride, in_features, 0, num_rows, quantized.data(), bytes_stride, x_scales.data());
  const PackedMatrix matrix = {type,        in_features,   out_features,   packed.data(),
                               bias.data(), scales.data(), row_sums.data()};
  const Activations rows = {num_rows, x.data(), stride, quantized.data(), bytes_stride, x_scales.data()};
  kernels.matmul(matrix, rows, 0, matrix.num_panels(), false, out.data(), columns);
  return digest(out);
}

uint32_t attention(const Kernels& kernels, NumberType type) {
  const int64_t num_rows = 5, head_dim = 72, length = 53, slots = 5;
  const std::vector<float> query = numbers(5 * 72, 4), keys = numbers(53 * 5 * 72, 5), values = numbers(53 * 5 * 72, 6);
  std::vector<float> stored_keys(keys.size() + 4 * 53 * 5), stored_values(keys.size() + 4 * 53 * 5), scores(5 * 64),
      out(5 * 72);
  kernels.store(keys.data(), length * slots, head_dim, type, stored_keys.data());
  kernels.store(values.data(), length * slots, head_dim, type, stored_values.data());
  std::vector<uint8_t> ancestry(5 * 53);
  for (size_t i = 0; i < ancestry.size(); ++i) ancestry[i] = static_cast<uint8_t>(i * 7 % 5);
  const int64_t stride = vector_stride(type, head_dim);
  kernels.attend({num_rows,
                  head_dim,
                  length,
                  20,
                  query.data(),
                  head_dim,
                  type,
                  stored_keys.data(),
                  stored_values.data(),
                  nullptr,
                  slots * stride,
                  stride,
                  ancestry.data(),
                  length,
                  nullptr,
                  nullptr,
                  0.1f,
                  scores.data(),
                  out.data(),
                  head_dim});
  return digest(out);
}

uint32_t rows(const Kernels& kernels) {
  std::vector<float> x = numbers(531, 7), weight = numbers(531, 8), bias = numbers(531, 9), out(544);
  kernels.layer_norm(x.data(), 544, 531, 0, 1, weight.data(), bias.data(), 1e-5f, out.data(), 544);
  kernels.gelu(out.data(), 501);
  kernels.swiglu(out.data(), x.data(), 531, out.data());
  kernels.rotate(out.data(), 6, 88, weight.data(), bias.data());
  return digest(out);
}

}  // namespace

int main() {
  for (int64_t i = 0; i < num_kernel_sets(); ++i) {
    const Kernels& kernels = kernel_set(i);
    std::printf("%-12s", kernels.name);
    for (const NumberType type : {NumberType::kInt8, NumberType::kFloat32, NumberType::kBfloat16}) {
      for (const int64_t num_rows : {1, 4, 33}) std::printf(" %08x", product(kernels, type, num_rows));
    }
    for (const NumberType type : {NumberType::kFloat32, NumberType::kBfloat16, NumberType::kInt8}) {
      std::printf(" %08x", attention(kernels, type));
    }
    std::printf(" %08x\n", rows(kernels));
  }
}
