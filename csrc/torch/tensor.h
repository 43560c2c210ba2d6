// A tensor that an op was given: its sizes, its dtype, its memory. Copies are the same tensor.
#pragma once

#include <memory>

#include "handles.h"

namespace amt::stable {

// The dtypes that the ops take, with their names in C++.
enum class ScalarType { Byte, Int, Long, Float, Double, BFloat16, Other };

constexpr int64_t bytes_of(ScalarType type) {
  switch (type) {
    case ScalarType::Byte:
      return 1;
    case ScalarType::BFloat16:
      return 2;
    case ScalarType::Int:
    case ScalarType::Float:
      return 4;
    default:
      return 8;
  }
}

class Tensor {
 public:
  // The handle belongs to the tensor from here on.
  explicit Tensor(AtenTensorHandle handle) : handle_(OwnedTensor(handle)) {}

  void* data_ptr() const { return read(aoti_torch_get_data_ptr); }
  int64_t dim() const { return read(aoti_torch_get_dim); }
  int64_t numel() const { return read(aoti_torch_get_numel); }
  bool is_contiguous() const { return read(aoti_torch_is_contiguous); }
  bool is_cpu() const { return read(aoti_torch_get_device_type) == aoti_torch_device_type_cpu(); }

  int64_t size(int64_t axis) const {
    int64_t size = 0;
    check_call(aoti_torch_get_size(handle_.get(), axis, &size));
    return size;
  }
  int64_t stride(int64_t axis) const {
    int64_t stride = 0;
    check_call(aoti_torch_get_stride(handle_.get(), axis, &stride));
    return stride;
  }

  // Whether all its numbers lie in its storage: somebody may have made that smaller (`untyped_storage().resize_`).
  bool is_in_storage() const {
    int64_t last = read(aoti_torch_get_storage_offset);
    for (int64_t axis = 0; axis < dim(); ++axis) {
      if (size(axis) == 0) return true;
      last += (size(axis) - 1) * stride(axis);
    }
    return last < read(aoti_torch_get_storage_size) / bytes_of(scalar_type());
  }

  ScalarType scalar_type() const {
    const int32_t dtype = read(aoti_torch_get_dtype);
    if (dtype == aoti_torch_dtype_uint8()) return ScalarType::Byte;
    if (dtype == aoti_torch_dtype_int32()) return ScalarType::Int;
    if (dtype == aoti_torch_dtype_int64()) return ScalarType::Long;
    if (dtype == aoti_torch_dtype_float32()) return ScalarType::Float;
    if (dtype == aoti_torch_dtype_float64()) return ScalarType::Double;
    if (dtype == aoti_torch_dtype_bfloat16()) return ScalarType::BFloat16;
    return ScalarType::Other;
  }

 private:
  template <typename T>
  T read(AOTITorchError (*getter)(AtenTensorHandle, T*)) const {
    T value{};
    check_call(getter(handle_.get(), &value));
    return value;
  }

  std::shared_ptr<AtenTensorOpaque> handle_;
};

}  // namespace amt::stable
