#include "swiglu.h"

#include <algorithm>

#include "team.h"
#include "training_kernels.h"

namespace amt::training {

void swiglu(const SwigluCall& call, const std::string& isa, int64_t num_threads) {
  constexpr int64_t kNumbersOfThread = int64_t{1} << 17;  // fewer are not worth starting one
  const Kernels& kernels = find_kernels(isa.c_str());
  const int64_t useful = std::max<int64_t>(1, call.num_rows * call.hidden / kNumbersOfThread);
  engine::Team(std::min(num_threads, useful)).run([&](const engine::Member& member) {
    const engine::Range rows = member.part(call.num_rows);
    kernels.swiglu_rows(call, rows.first, rows.last);
  });
}

}  // namespace amt::training
