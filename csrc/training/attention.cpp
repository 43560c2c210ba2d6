// Cuts the work into parts and gives them to threads.
#include "attention.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "scratch_memory.h"
#include "team.h"
#include "training_kernels.h"

namespace amt::training {
namespace {

using engine::Member;

// A thread that is started for less work than this, in multiplications, costs more than it brings.
constexpr int64_t kWorkOfThread = int64_t{1} << 21;

void check(const AttentionCall& call) {
  if (call.head_dim < kHeadDimMultiple || call.head_dim > kMaxHeadDim || call.head_dim % kHeadDimMultiple != 0) {
    throw std::invalid_argument("head_dim must be a multiple of 8 up to 128, got " + std::to_string(call.head_dim));
  }
  if (call.window < 0 || (call.window > 0 && !call.is_causal)) {
    throw std::invalid_argument("window must be at least 1, and needs is_causal");
  }
}

int64_t useful_threads(const AttentionCall& call, int64_t num_threads) {
  const int64_t work = call.batch * call.num_heads * call.query_len * call.key_len * call.head_dim;
  return std::max<int64_t>(1, std::min(num_threads, work / kWorkOfThread));
}

// Calls run(index, thread) for each index below `count`, whichever thread comes first.
template <class Run>
void share(std::atomic<int64_t>& next, int64_t count, const Run& run) {
  for (int64_t index; (index = next.fetch_add(1, std::memory_order_relaxed)) < count;) run(index);
}

}  // namespace

void attention_forward(const AttentionCall& call, const std::string& isa, int64_t num_threads) {
  check(call);
  const Kernels& kernels = find_kernels(isa.c_str());
  const int64_t heads = call.batch * call.num_heads, tiles = num_tiles(call.query_len);
  if (heads == 0 || tiles == 0) return;
  num_threads = useful_threads(call, num_threads);
  // Each part packs the head's keys for itself: as few parts as keep all threads busy.
  const int64_t wanted = num_threads == 1 ? 1 : (4 * num_threads + heads - 1) / heads;
  const int64_t parts = std::min(tiles, wanted), bytes = round_up(kernels.attention_forward_bytes(call), 64);
  ScratchMemory scratch(num_threads * bytes);
  std::atomic<int64_t> next{0};
  engine::Team(num_threads).run([&](const Member& member) {
    share(next, heads * parts, [&](int64_t index) {
      // The last tiles of a causal head take longest and come first.
      const int64_t head = index / parts, part = parts - 1 - index % parts;
      const engine::Range range = engine::part_of(tiles, part, parts);
      kernels.attention_forward(call, {head / call.num_heads, head % call.num_heads, range.first, range.last, nullptr},
                                scratch.data() + member.index * bytes);
    });
  });
}

void attention_backward(const AttentionCall& call, const std::string& isa, int64_t num_threads) {
  check(call);
  const Kernels& kernels = find_kernels(isa.c_str());
  const int64_t heads = call.batch * call.num_heads, tiles = num_tiles(call.key_len);
  if (heads == 0) return;
  num_threads = useful_threads(call, num_threads);
  const int64_t num_sums = (tiles + kTilesPerSum - 1) / kTilesPerSum;
  const int64_t parts = heads >= 4 * num_threads || num_threads == 1 || num_sums == 0 ? 1 : num_sums;
  const int64_t bytes = round_up(kernels.attention_backward_bytes(call), 64);
  const int64_t sum_size = call.query_len * call.head_dim;
  ScratchMemory scratch(num_threads * bytes);
  ScratchMemory sums(parts == 1 ? 64 : heads * parts * sum_size * static_cast<int64_t>(sizeof(float)));
  const auto sums_of = [&](int64_t head) { return reinterpret_cast<float*>(sums.data()) + head * parts * sum_size; };
  std::atomic<int64_t> next{0}, next_head{0};
  engine::Team(num_threads).run([&](const Member& member) {
    share(next, heads * parts, [&](int64_t index) {
      const int64_t head = index / parts, part = index % parts;
      const int64_t first = part * kTilesPerSum, last = parts == 1 ? tiles : std::min(tiles, first + kTilesPerSum);
      float* sum = parts == 1 ? nullptr : sums_of(head) + part * sum_size;
      kernels.attention_backward(call, {head / call.num_heads, head % call.num_heads, first, last, sum},
                                 scratch.data() + member.index * bytes);
    });
    if (parts == 1) return;
    member.wait();
    share(next_head, heads, [&](int64_t head) {
      kernels.attention_add_sums(call, head / call.num_heads, head % call.num_heads, sums_of(head), parts);
    });
  });
}

}  // namespace amt::training
