// What the op library calls of libtorch, in so little C++ that the ops can be fuzzed and run under ThreadSanitizer
// without torch. small_torch.cpp has the functions of csrc/torch/shim.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace amt::fuzz {

enum class Dtype : int32_t { kUint8, kInt32, kInt64, kFloat32, kFloat64, kBfloat16, kBool };

constexpr int64_t bytes_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kUint8:
    case Dtype::kBool:
      return 1;
    case Dtype::kBfloat16:
      return 2;
    case Dtype::kInt32:
    case Dtype::kFloat32:
      return 4;
    default:
      return 8;
  }
}

// 64-byte aligned, and of just that size, so that a byte beyond is seen.
struct Storage {
  explicit Storage(int64_t num_bytes);
  struct Free {
    void operator()(std::byte* block) const { std::free(block); }
  };
  std::unique_ptr<std::byte, Free> memory;
  int64_t num_bytes;
};

// Copies share their memory, as torch's do.
struct Tensor {
  std::shared_ptr<Storage> storage;
  std::vector<int64_t> sizes, strides;
  int64_t offset = 0;
  Dtype dtype = Dtype::kFloat32;
  bool is_on_cpu = true;

  // Contiguous zeros.
  static Tensor zeros(std::vector<int64_t> sizes, Dtype dtype = Dtype::kFloat32);
  // Contiguous, with these numbers.
  template <typename Number>
  static Tensor of(const std::vector<Number>& numbers, std::vector<int64_t> sizes, Dtype dtype) {
    Tensor tensor = zeros(std::move(sizes), dtype);
    for (size_t i = 0; i < numbers.size(); ++i) tensor.data<Number>()[i] = numbers[i];
    return tensor;
  }

  int64_t numel() const;
  bool is_contiguous() const;
  // As torch.Tensor.expand, transpose and clone do. The copy is contiguous; what lies outside of its memory is zero.
  Tensor transposed(size_t axis, size_t other) const;
  Tensor clone() const;
  template <typename Number>
  Number* data() const {
    return reinterpret_cast<Number*>(storage->memory.get() + offset * bytes_of(dtype));
  }
};

// An argument of an op; or its result, then a number, a text, or false: nothing.
struct Value {
  std::variant<bool, int64_t, double, std::string, Tensor, std::vector<Value>> it;
  template <typename T>
  Value(T value) : it(std::move(value)) {}  // NOLINT: like the variant itself
};

template <typename T>
std::vector<Value> list_of(const std::vector<T>& items) {
  return std::vector<Value>(items.begin(), items.end());
}

// Throws what the op throws.
Value call_op(const std::string& name, const std::vector<Value>& arguments);

}  // namespace amt::fuzz
