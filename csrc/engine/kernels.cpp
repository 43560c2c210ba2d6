// Which sets of kernels this processor runs, and the packing of weights, which is the same for all of them.
#include "kernels.h"

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernel_sets.h"
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace amt::engine {
namespace {

// Sums of 8-bit products are exact in 32 bits up to here: 127 * 127 * 2^17 < 2^31.
constexpr int64_t kMaxInFeaturesInt8 = int64_t{1} << 17;
constexpr int64_t kMaxFeatures = int64_t{1} << 24;  // so that no size overflows

// __builtin_cpu_supports asks the operating system, too, whether it keeps the wide registers.
std::vector<const Kernels*> find_sets() {
  std::vector<const Kernels*> sets = {&kGenericKernels};
#if defined(AMT_ONLY_GENERIC_KERNELS)  // fuzz/targets.cmake
#elif defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (has_avx2) sets.push_back(&kAvx2Kernels);
#if defined(AMT_HAS_AVXVNNI)  // CMakeLists.txt: the compiler can build it
  if (has_avx2 && __builtin_cpu_supports("avxvnni")) sets.push_back(&kAvx2VnniKernels);
#endif
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    sets.push_back(&kAvx512Kernels);
    if (__builtin_cpu_supports("avx512vnni")) sets.push_back(&kAvx512VnniKernels);
  }
#elif defined(__aarch64__)
  sets.push_back(&kNeonKernels);
#if defined(__APPLE__)
  sets.push_back(&kNeonDotKernels);  // every Apple processor of this kind has it
#elif defined(__linux__) && defined(HWCAP_ASIMDDP)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) sets.push_back(&kNeonDotKernels);
#endif
#endif
  return sets;
}

const std::vector<const Kernels*>& sets() {
  static const std::vector<const Kernels*> found = find_sets();
  return found;
}

int64_t inputs_together(NumberType type) {
  switch (type) {
    case NumberType::kFloat32:
      return 1;
    case NumberType::kBfloat16:
      return 2;
    case NumberType::kInt8:
      return 4;
  }
  throw std::invalid_argument("a weight type is 0 (float32), 1 (bfloat16) or 2 (int8), got " +
                              std::to_string(static_cast<int>(type)));
}

int64_t element_size(NumberType type) { return 4 / inputs_together(type); }

void check_sizes(NumberType type, int64_t in_features, int64_t out_features) {
  const int64_t most = type == NumberType::kInt8 ? kMaxInFeaturesInt8 : kMaxFeatures;
  if (in_features < 1 || in_features > most || out_features < 1 || out_features > kMaxFeatures) {
    throw std::invalid_argument("a weight matrix has 1 to " + std::to_string(most) + " inputs and 1 to " +
                                std::to_string(kMaxFeatures) + " outputs, got " + std::to_string(in_features) +
                                " and " + std::to_string(out_features));
  }
}

uint16_t to_bfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if (std::isnan(value)) return static_cast<uint16_t>((bits | 0x400000) >> 16);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// One output feature: its scale and the sum of its 8-bit weights; put(i, byte) keeps them.
template <class Put>
void quantize_weights(const float* weight, int64_t in_features, float* scale, int32_t* row_sum, Put put) {
  float largest = 0.0f;
  for (int64_t i = 0; i < in_features; ++i) {
    if (!std::isfinite(weight[i])) throw std::invalid_argument("weights to be packed in 8 bits must be finite");
    largest = std::fmax(largest, std::fabs(weight[i]));
  }
  *scale = largest / 127.0f;
  *row_sum = 0;
  for (int64_t i = 0; i < in_features; ++i) {
    // In double, so that the smallest scales lose nothing.
    const double ratio = largest > 0.0f ? weight[i] * (127.0 / largest) : 0.0;
    const int32_t byte = static_cast<int32_t>(std::nearbyint(ratio));
    *row_sum += byte;
    put(i, static_cast<int8_t>(byte));
  }
}

}  // namespace

int64_t num_kernel_sets() { return static_cast<int64_t>(sets().size()); }

const Kernels& kernel_set(int64_t index) { return *sets().at(static_cast<size_t>(index)); }

const Kernels& find_kernels(const char* name) {
  if (name == nullptr || *name == '\0') return *sets().back();
  std::string names;
  for (const Kernels* set : sets()) {
    if (std::strcmp(set->name, name) == 0) return *set;
    names += names.empty() ? set->name : std::string(", ") + set->name;
  }
  throw std::invalid_argument("this processor has the kernels " + names + "; got \"" + name + "\"");
}

int64_t packed_weight_bytes(NumberType type, int64_t in_features, int64_t out_features) {
  check_sizes(type, in_features, out_features);
  return round_up(out_features, kPanel) * round_up(in_features, inputs_together(type)) * element_size(type);
}

void pack_weights(NumberType type, const float* weight, int64_t in_features, int64_t out_features, void* packed,
                  float* scales, int32_t* row_sums) {
  std::memset(packed, 0, static_cast<size_t>(packed_weight_bytes(type, in_features, out_features)));
  const int64_t together = inputs_together(type), panel_size = round_up(in_features, together) * kPanel;
  for (int64_t o = 0; o < round_up(out_features, kPanel); ++o) {
    if (o >= out_features) {
      if (type == NumberType::kInt8) scales[o] = 0.0f, row_sums[o] = 0;
      continue;
    }
    const float* row = weight + o * in_features;
    const auto place = [&](int64_t i) {
      return o / kPanel * panel_size + (i / together * kPanel + o % kPanel) * together + i % together;
    };
    if (type == NumberType::kFloat32) {
      for (int64_t i = 0; i < in_features; ++i) static_cast<float*>(packed)[place(i)] = row[i];
    } else if (type == NumberType::kBfloat16) {
      for (int64_t i = 0; i < in_features; ++i) static_cast<uint16_t*>(packed)[place(i)] = to_bfloat16(row[i]);
    } else {
      quantize_weights(row, in_features, scales + o, row_sums + o,
                       [&](int64_t i, int8_t byte) { static_cast<int8_t*>(packed)[place(i)] = byte; });
    }
  }
}

}  // namespace amt::engine
