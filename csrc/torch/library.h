// Registration of ops with torch when the shared library is loaded.
#pragma once

#include <exception>
#include <memory>
#include <utility>

#include "boxing.h"

namespace amt::stable {

// The torch whose stable ABI is meant, 2.10.0: major, minor and patch version in the three highest bytes.
inline constexpr uint64_t kBuildVersion = 0x020a000000000000;

// Schemas of a namespace, or the functions behind them for one dispatch key. They are gone when this is.
class Library {
 public:
  // dispatch_key: nullptr for the schemas.
  Library(const char* name_space, const char* dispatch_key) {
    TorchLibraryHandle handle = nullptr;
    check_call(dispatch_key == nullptr
                   ? aoti_torch_library_init_def(name_space, __FILE__, __LINE__, &handle)
                   : aoti_torch_library_init_impl(name_space, dispatch_key, __FILE__, __LINE__, &handle));
    handle_.reset(handle);
  }

  void def(const char* schema) { check_call(aoti_torch_library_def(handle_.get(), schema)); }

  template <auto function>
  void impl(const char* name) {
    check_call(torch_library_impl(handle_.get(), name, &Boxed<function>::call, kBuildVersion));
  }

 private:
  OwnedLibrary handle_;
};

// A static object of this type registers while the shared library is loaded, where nothing may be thrown. If torch
// refuses, there are no ops; amt/ops/native.py looks whether they are there.
class Registration {
 public:
  Registration(const char* name_space, const char* dispatch_key, void (*fill)(Library&)) noexcept {
    try {
      auto library = std::make_unique<Library>(name_space, dispatch_key);
      fill(*library);
      library_ = std::move(library);
    } catch (const std::exception&) {
      library_ = nullptr;
    }
  }

 private:
  std::unique_ptr<Library> library_;
};

}  // namespace amt::stable
