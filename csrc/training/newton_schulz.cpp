#include "newton_schulz.h"

#include <algorithm>
#include <atomic>

#include "scratch_memory.h"
#include "team.h"
#include "training_kernels.h"

namespace amt::training {

void orthogonalize(const std::vector<Matrix>& matrices, const NewtonSchulz& iteration, const std::string& isa,
                   int64_t num_threads) {
  const Kernels& kernels = find_kernels(isa.c_str());
  int64_t bytes = 0;
  for (const Matrix& matrix : matrices) bytes = std::max(bytes, kernels.orthogonalize_bytes(matrix));
  num_threads = std::max<int64_t>(1, std::min(num_threads, static_cast<int64_t>(matrices.size())));
  ScratchMemory memory(num_threads * bytes);
  std::atomic<size_t> next{0};
  engine::Team(num_threads).run([&](const engine::Member& member) {
    for (size_t index; (index = next.fetch_add(1, std::memory_order_relaxed)) < matrices.size();) {
      kernels.orthogonalize(matrices[index], iteration, memory.data() + member.index * bytes);
    }
  });
}

}  // namespace amt::training
