// The kernels over the 16 lanes of one ../engine/simd_*.h, which is included before. Each kernels_*.cpp compiles this
// with its instruction set's flags. Nothing here may be a std template or any other inline function with a name the
// linker can see: the linker keeps one copy of such a function, and an older processor might not run it.
#pragma once

#include "backward.h"
#include "forward.h"

namespace amt::attention {
namespace {

// Of<Pass, Halves>: what runs float32 tensors in float32, and bfloat16 ones in the arithmetic `Halves`.
template <class Halves>
struct Passes {
  static int64_t forward_bytes(const Call& call) {
    return call.dtype == Dtype::kBfloat16 ? Forward<Halves>(call, {}, nullptr).num_bytes()
                                          : Forward<Float32>(call, {}, nullptr).num_bytes();
  }
  static void forward(const Call& call, const Part& part, std::byte* scratch) {
    if (call.dtype == Dtype::kBfloat16) return Forward<Halves>(call, part, scratch).run();
    Forward<Float32>(call, part, scratch).run();
  }
  static int64_t backward_bytes(const Call& call) {
    return call.dtype == Dtype::kBfloat16 ? Backward<Halves>(call, {}, nullptr).num_bytes()
                                          : Backward<Float32>(call, {}, nullptr).num_bytes();
  }
  static void backward(const Call& call, const Part& part, std::byte* scratch) {
    if (call.dtype == Dtype::kBfloat16) return Backward<Halves>(call, part, scratch).run();
    Backward<Float32>(call, part, scratch).run();
  }

  static constexpr Kernels kernels(const char* name) {
    return {name, forward_bytes, forward, backward_bytes, backward, add_sums};
  }
};

}  // namespace
}  // namespace amt::attention
