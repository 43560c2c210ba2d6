// The C functions of libtorch's stable ABI that the op library calls, as torch has them from version 2.10 on.
//
// They are declared here so that building needs no torch. tests/ops/test_shim.py holds this file to the headers of the
// torch that is installed, and the build makes a library of its own to link with from the names in it. Handles are
// pointers to what only libtorch knows; functions that return an AOTITorchError say with 0 that they worked.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

using AOTITorchError = int32_t;

// An argument or a result of an op: a number, or a handle, in 64 bits.
using StableIValue = uint64_t;

struct AtenTensorOpaque;
using AtenTensorHandle = AtenTensorOpaque*;
struct StableListOpaque;
using StableListHandle = StableListOpaque*;
struct StringOpaque;
using StringHandle = StringOpaque*;
class TorchLibraryOpaque;
using TorchLibraryHandle = TorchLibraryOpaque*;

// Tensors: a handle that was received belongs to the receiver, which deletes it.
AOTITorchError aoti_torch_delete_tensor_object(AtenTensorHandle tensor);
AOTITorchError aoti_torch_get_data_ptr(AtenTensorHandle tensor, void** data);
AOTITorchError aoti_torch_get_dim(AtenTensorHandle tensor, int64_t* num_axes);
AOTITorchError aoti_torch_get_numel(AtenTensorHandle tensor, int64_t* numel);
AOTITorchError aoti_torch_get_size(AtenTensorHandle tensor, int64_t axis, int64_t* size);
AOTITorchError aoti_torch_get_stride(AtenTensorHandle tensor, int64_t axis, int64_t* stride);
AOTITorchError aoti_torch_get_storage_offset(AtenTensorHandle tensor, int64_t* offset);
AOTITorchError aoti_torch_get_storage_size(AtenTensorHandle tensor, int64_t* num_bytes);
AOTITorchError aoti_torch_is_contiguous(AtenTensorHandle tensor, bool* is_contiguous);
AOTITorchError aoti_torch_get_dtype(AtenTensorHandle tensor, int32_t* dtype);
AOTITorchError aoti_torch_get_device_type(AtenTensorHandle tensor, int32_t* device_type);

// What dtypes and devices are called may change from one torch to the next.
int32_t aoti_torch_dtype_uint8();
int32_t aoti_torch_dtype_int32();
int32_t aoti_torch_dtype_int64();
int32_t aoti_torch_dtype_float32();
int32_t aoti_torch_dtype_float64();
int32_t aoti_torch_dtype_bfloat16();
int32_t aoti_torch_device_type_cpu();

// Lists: deleting one leaves its elements to who took them.
AOTITorchError torch_new_list_reserve_size(size_t size, StableListHandle* list);
AOTITorchError torch_list_push_back(StableListHandle list, StableIValue element);
AOTITorchError torch_list_size(StableListHandle list, size_t* size);
AOTITorchError torch_list_get_item(StableListHandle list, size_t index, StableIValue* element);
AOTITorchError torch_delete_list(StableListHandle list);

// Strings.
AOTITorchError torch_new_string_handle(const char* data, size_t length, StringHandle* string);
AOTITorchError torch_string_length(StringHandle string, size_t* length);
AOTITorchError torch_string_c_str(StringHandle string, const char** data);
AOTITorchError torch_delete_string(StringHandle string);

// Registration. An op gets num_inputs values on its stack, which are its own, and leaves num_outputs there.
AOTITorchError aoti_torch_library_init_def(const char* name_space, const char* file, uint32_t line,
                                           TorchLibraryHandle* library);
AOTITorchError aoti_torch_library_init_impl(const char* name_space, const char* dispatch_key, const char* file,
                                            uint32_t line, TorchLibraryHandle* library);
AOTITorchError aoti_torch_library_def(TorchLibraryHandle library, const char* schema);
AOTITorchError torch_library_impl(TorchLibraryHandle library, const char* name,
                                  void (*op)(StableIValue* stack, uint64_t num_inputs, uint64_t num_outputs),
                                  uint64_t build_version);
AOTITorchError aoti_torch_delete_library_object(TorchLibraryHandle library);

}  // extern "C"
