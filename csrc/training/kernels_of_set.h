// The kernels over the 16 lanes of one ../engine/simd_*.h, which is included before. Each kernels_*.cpp compiles this
// with its instruction set's flags. Nothing here may be a std template or any other inline function with a name the
// linker can see: the linker keeps one copy of such a function, and an older processor might not run it.
#pragma once

#include "attention_backward.h"
#include "attention_forward.h"
#include "newton_schulz_matrix.h"
#include "swiglu_rows.h"

namespace amt::training {
namespace {

// Of<Pass, Halves>: what runs float32 tensors in float32, and bfloat16 ones in the arithmetic `Halves`.
template <class Halves>
struct KernelsOf {
  static int64_t forward_bytes(const AttentionCall& call) {
    return call.dtype == Dtype::kBfloat16 ? AttentionForward<Halves>(call, {}, nullptr).num_bytes()
                                          : AttentionForward<Float32>(call, {}, nullptr).num_bytes();
  }
  static void forward(const AttentionCall& call, const Part& part, std::byte* scratch) {
    if (call.dtype == Dtype::kBfloat16) return AttentionForward<Halves>(call, part, scratch).run();
    AttentionForward<Float32>(call, part, scratch).run();
  }
  static int64_t backward_bytes(const AttentionCall& call) {
    return call.dtype == Dtype::kBfloat16 ? AttentionBackward<Halves>(call, {}, nullptr).num_bytes()
                                          : AttentionBackward<Float32>(call, {}, nullptr).num_bytes();
  }
  static void backward(const AttentionCall& call, const Part& part, std::byte* scratch) {
    if (call.dtype == Dtype::kBfloat16) return AttentionBackward<Halves>(call, part, scratch).run();
    AttentionBackward<Float32>(call, part, scratch).run();
  }

  static int64_t orthogonalize_bytes(const Matrix& matrix) {
    return Orthogonalizer<Halves>(matrix, nullptr).num_bytes();
  }
  static void orthogonalize(const Matrix& matrix, const NewtonSchulz& iteration, std::byte* scratch) {
    Orthogonalizer<Halves>(matrix, scratch).run(iteration);
  }

  static constexpr Kernels kernels(const char* name) {
    return {name,        forward_bytes,       forward,      backward_bytes, backward, add_sums,
            swiglu_rows, orthogonalize_bytes, orthogonalize};
  }
};

}  // namespace
}  // namespace amt::training
