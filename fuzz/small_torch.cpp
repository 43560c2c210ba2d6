#include "small_torch.h"

#include <cstring>
#include <map>
#include <new>
#include <stdexcept>
#include <utility>

#include "shim.h"

namespace {

using amt::fuzz::Dtype;
using amt::fuzz::Tensor;
using amt::fuzz::Value;
using Op = void (*)(StableIValue* stack, uint64_t num_inputs, uint64_t num_outputs);

struct Registered {
  std::string schema;
  Op op = nullptr;
};

std::map<std::string, Registered>& ops() {
  static auto* const all = new std::map<std::string, Registered>;
  return *all;
}

}  // namespace

// What libtorch's handles point to. A handle is one owner of what copies share.
struct AtenTensorOpaque {
  Tensor tensor;
};
struct StableListOpaque {
  std::vector<StableIValue> items;
};
struct StringOpaque {
  std::string text;
};
class TorchLibraryOpaque {};

namespace amt::fuzz {

Storage::Storage(int64_t size) : num_bytes(size) {
  void* block = nullptr;
  if (posix_memalign(&block, 64, size > 0 ? static_cast<size_t>(size) : 1) != 0) throw std::bad_alloc();
  memory.reset(static_cast<std::byte*>(block));
  std::memset(block, 0, static_cast<size_t>(size));
}

Tensor Tensor::zeros(std::vector<int64_t> sizes, Dtype dtype) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.strides.resize(sizes.size());
  int64_t stride = 1;
  for (size_t axis = sizes.size(); axis-- > 0;) {
    tensor.strides[axis] = stride;
    stride *= sizes[axis] > 1 ? sizes[axis] : 1;
  }
  tensor.sizes = std::move(sizes);
  tensor.storage = std::make_shared<Storage>(tensor.numel() * bytes_of(dtype));
  return tensor;
}

int64_t Tensor::numel() const {
  int64_t product = 1;
  for (const int64_t size : sizes) product *= size;
  return product;
}

bool Tensor::is_contiguous() const {
  int64_t stride = 1;
  if (numel() == 0) return true;
  for (size_t axis = sizes.size(); axis-- > 0;) {
    if (sizes[axis] == 1) continue;
    if (strides[axis] != stride) return false;
    stride *= sizes[axis];
  }
  return true;
}

Tensor Tensor::transposed(size_t axis, size_t other) const {
  Tensor tensor = *this;
  std::swap(tensor.sizes[axis], tensor.sizes[other]);
  std::swap(tensor.strides[axis], tensor.strides[other]);
  return tensor;
}

Tensor Tensor::clone() const {
  Tensor copy = zeros(sizes, dtype);
  copy.is_on_cpu = is_on_cpu;
  const int64_t size = bytes_of(dtype), num_stored = storage->num_bytes / size;
  for (int64_t number = 0; number < copy.numel(); ++number) {
    int64_t place = offset, rest = number;
    for (size_t axis = sizes.size(); axis-- > 0; rest /= sizes[axis]) place += rest % sizes[axis] * strides[axis];
    if (place >= num_stored) continue;
    std::memcpy(copy.storage->memory.get() + number * size, storage->memory.get() + place * size,
                static_cast<size_t>(size));
  }
  return copy;
}

namespace {

StableIValue to_stack(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value.it)) return *flag ? 1 : 0;
  if (const auto* number = std::get_if<int64_t>(&value.it)) return static_cast<StableIValue>(*number);
  if (const auto* number = std::get_if<double>(&value.it)) {
    StableIValue bits;
    std::memcpy(&bits, number, sizeof bits);
    return bits;
  }
  if (const auto* text = std::get_if<std::string>(&value.it)) {
    return reinterpret_cast<StableIValue>(new StringOpaque{*text});
  }
  if (const auto* tensor = std::get_if<Tensor>(&value.it)) {
    return reinterpret_cast<StableIValue>(new AtenTensorOpaque{*tensor});
  }
  auto* list = new StableListOpaque;
  for (const Value& item : std::get<std::vector<Value>>(value.it)) list->items.push_back(to_stack(item));
  return reinterpret_cast<StableIValue>(list);
}

}  // namespace

Value call_op(const std::string& name, const std::vector<Value>& arguments) {
  const Registered& found = ops().at(name);
  const bool has_result = found.schema.find("-> ()") == std::string::npos;
  std::vector<StableIValue> stack;
  for (const Value& argument : arguments) stack.push_back(to_stack(argument));
  stack.resize(stack.size() + (stack.empty() ? 1 : 0));
  found.op(stack.data(), arguments.size(), has_result ? 1 : 0);
  if (!has_result) return false;
  if (found.schema.find("-> int") != std::string::npos) return static_cast<int64_t>(stack[0]);
  const std::unique_ptr<StringOpaque> text(reinterpret_cast<StringOpaque*>(stack[0]));
  return text->text;
}

}  // namespace amt::fuzz

extern "C" {

AOTITorchError aoti_torch_delete_tensor_object(AtenTensorHandle tensor) {
  delete tensor;
  return 0;
}
AOTITorchError aoti_torch_get_data_ptr(AtenTensorHandle handle, void** data) {
  const Tensor& tensor = handle->tensor;
  *data = tensor.is_on_cpu ? tensor.storage->memory.get() + tensor.offset * amt::fuzz::bytes_of(tensor.dtype) : nullptr;
  return 0;
}
AOTITorchError aoti_torch_get_dim(AtenTensorHandle handle, int64_t* num_axes) {
  *num_axes = static_cast<int64_t>(handle->tensor.sizes.size());
  return 0;
}
AOTITorchError aoti_torch_get_numel(AtenTensorHandle handle, int64_t* numel) {
  *numel = handle->tensor.numel();
  return 0;
}
AOTITorchError aoti_torch_get_size(AtenTensorHandle handle, int64_t axis, int64_t* size) {
  const auto& sizes = handle->tensor.sizes;
  if (axis < 0 || axis >= static_cast<int64_t>(sizes.size())) return 1;
  *size = sizes[static_cast<size_t>(axis)];
  return 0;
}
AOTITorchError aoti_torch_get_stride(AtenTensorHandle handle, int64_t axis, int64_t* stride) {
  const auto& strides = handle->tensor.strides;
  if (axis < 0 || axis >= static_cast<int64_t>(strides.size())) return 1;
  *stride = strides[static_cast<size_t>(axis)];
  return 0;
}
AOTITorchError aoti_torch_get_storage_offset(AtenTensorHandle handle, int64_t* offset) {
  *offset = handle->tensor.offset;
  return 0;
}
AOTITorchError aoti_torch_get_storage_size(AtenTensorHandle handle, int64_t* num_bytes) {
  *num_bytes = handle->tensor.storage->num_bytes;
  return 0;
}
AOTITorchError aoti_torch_is_contiguous(AtenTensorHandle handle, bool* is_contiguous) {
  *is_contiguous = handle->tensor.is_contiguous();
  return 0;
}
AOTITorchError aoti_torch_get_dtype(AtenTensorHandle handle, int32_t* dtype) {
  *dtype = static_cast<int32_t>(handle->tensor.dtype);
  return 0;
}
AOTITorchError aoti_torch_get_device_type(AtenTensorHandle handle, int32_t* device_type) {
  *device_type = handle->tensor.is_on_cpu ? 0 : 1;
  return 0;
}

int32_t aoti_torch_dtype_uint8() { return static_cast<int32_t>(Dtype::kUint8); }
int32_t aoti_torch_dtype_int32() { return static_cast<int32_t>(Dtype::kInt32); }
int32_t aoti_torch_dtype_int64() { return static_cast<int32_t>(Dtype::kInt64); }
int32_t aoti_torch_dtype_float32() { return static_cast<int32_t>(Dtype::kFloat32); }
int32_t aoti_torch_dtype_float64() { return static_cast<int32_t>(Dtype::kFloat64); }
int32_t aoti_torch_dtype_bfloat16() { return static_cast<int32_t>(Dtype::kBfloat16); }
int32_t aoti_torch_device_type_cpu() { return 0; }

AOTITorchError torch_new_list_reserve_size(size_t size, StableListHandle* list) {
  *list = new StableListOpaque;
  (*list)->items.reserve(size);
  return 0;
}
AOTITorchError torch_list_push_back(StableListHandle list, StableIValue element) {
  list->items.push_back(element);
  return 0;
}
AOTITorchError torch_list_size(StableListHandle list, size_t* size) {
  *size = list->items.size();
  return 0;
}
AOTITorchError torch_list_get_item(StableListHandle list, size_t index, StableIValue* element) {
  if (index >= list->items.size()) return 1;
  *element = list->items[index];
  return 0;
}
AOTITorchError torch_delete_list(StableListHandle list) {
  delete list;
  return 0;
}

AOTITorchError torch_new_string_handle(const char* data, size_t length, StringHandle* string) {
  *string = new StringOpaque{std::string(data, length)};
  return 0;
}
AOTITorchError torch_string_length(StringHandle string, size_t* length) {
  *length = string->text.size();
  return 0;
}
AOTITorchError torch_string_c_str(StringHandle string, const char** data) {
  *data = string->text.c_str();
  return 0;
}
AOTITorchError torch_delete_string(StringHandle string) {
  delete string;
  return 0;
}

AOTITorchError aoti_torch_library_init_def(const char*, const char*, uint32_t, TorchLibraryHandle* library) {
  *library = new TorchLibraryOpaque;
  return 0;
}
AOTITorchError aoti_torch_library_init_impl(const char*, const char*, const char*, uint32_t,
                                            TorchLibraryHandle* library) {
  *library = new TorchLibraryOpaque;
  return 0;
}
AOTITorchError aoti_torch_library_def(TorchLibraryHandle, const char* schema) {
  const std::string text = schema;
  ops()[text.substr(0, text.find('('))].schema = text;
  return 0;
}
AOTITorchError torch_library_impl(TorchLibraryHandle, const char* name, Op op, uint64_t) {
  ops()[name].op = op;
  return 0;
}
AOTITorchError aoti_torch_delete_library_object(TorchLibraryHandle library) {
  delete library;
  return 0;
}

}  // extern "C"
