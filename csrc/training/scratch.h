// Scratch memory of one part of the work, handed out piece by piece. Without memory it only counts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "training_kernels.h"

namespace amt::training {
namespace {

class Scratch {
 public:
  explicit Scratch(std::byte* memory) : memory_(memory) {}

  template <class T>
  void take(T*& pointer, int64_t size) {
    if (memory_ != nullptr) pointer = reinterpret_cast<T*>(memory_ + used_);
    used_ += round_up(size * static_cast<int64_t>(sizeof(T)), 64);
  }
  int64_t used() const { return used_; }

 private:
  std::byte* memory_;
  int64_t used_ = 0;
};

}  // namespace
}  // namespace amt::training
