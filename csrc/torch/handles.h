// Owners of libtorch's objects, and the check of what its functions return.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>

#include "shim.h"

namespace amt::stable {

template <typename Opaque, AOTITorchError (*erase)(Opaque*)>
struct Deleter {
  void operator()(Opaque* handle) const noexcept { erase(handle); }
};
template <typename Opaque, AOTITorchError (*erase)(Opaque*)>
using Owned = std::unique_ptr<Opaque, Deleter<Opaque, erase>>;

using OwnedTensor = Owned<AtenTensorOpaque, aoti_torch_delete_tensor_object>;
using OwnedList = Owned<StableListOpaque, torch_delete_list>;
using OwnedString = Owned<StringOpaque, torch_delete_string>;
using OwnedLibrary = Owned<TorchLibraryOpaque, aoti_torch_delete_library_object>;

// torch 2.10 has no function that says what was wrong; this happens only where something is wrong with the build.
inline void check_call(AOTITorchError code) {
  if (code != 0) throw std::runtime_error("a function of libtorch failed");
}

}  // namespace amt::stable
