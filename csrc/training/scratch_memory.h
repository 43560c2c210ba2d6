// Scratch memory for all threads of a call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace amt::training {

// Not set to anything, as most of it is written before it is read.
class ScratchMemory {
 public:
  explicit ScratchMemory(int64_t size) : data_(static_cast<std::byte*>(::operator new[](size, std::align_val_t{64}))) {}
  std::byte* data() { return data_.get(); }

 private:
  struct Delete {
    void operator()(std::byte* data) const { ::operator delete[](data, std::align_val_t{64}); }
  };
  std::unique_ptr<std::byte, Delete> data_;
};

}  // namespace amt::training
