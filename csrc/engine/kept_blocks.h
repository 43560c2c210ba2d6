// Memory of generations that have ended, kept for those that come. The system clears pages before it gives them, and a
// first token touches all planes of a cache: without this a row would cost some ten milliseconds before it begins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "aligned.h"
#include "huge_pages.h"

#if defined(__SANITIZE_ADDRESS__)
#define AMT_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define AMT_HAS_ASAN 1
#endif
#endif

namespace amt::engine {

// Any thread may take and keep.
class KeptBlocks {
 public:
  using Block = AlignedVector<std::byte>;

  // Of the process.
  static KeptBlocks& of_process() {
    static KeptBlocks* const blocks = new KeptBlocks;  // never destroyed: threads may end after the main one
    return *blocks;
  }

  // At least so many bytes; what they hold is not known.
  Block take(int64_t size) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = blocks_.lower_bound(size);
      if (found != blocks_.end() && found->first <= 2 * size) {
        Block block = std::move(found->second);
        num_bytes_ -= block.size();
        blocks_.erase(found);
        return block;
      }
    }
    Block block = Block::uninitialized(size);
    advise_huge_pages(block.data(), block.size());
    return block;
  }

  // Where there is no room for it, smaller ones go; one that is too large is freed.
  void keep(Block block) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (block.size() < kLeastBytes || block.size() > kMostBytes) return;
    while (num_bytes_ + block.size() > kMostBytes) {
      num_bytes_ -= blocks_.begin()->first;
      blocks_.erase(blocks_.begin());
    }
    num_bytes_ += block.size();
    blocks_.emplace(block.size(), std::move(block));
  }

 private:
  static constexpr int64_t kLeastBytes = int64_t{1} << 20;  // the C library keeps smaller ones itself
#if defined(AMT_HAS_ASAN)
  static constexpr int64_t kMostBytes = 0;  // who uses one that has ended is found
#else
  static constexpr int64_t kMostBytes = int64_t{1} << 28;
#endif

  std::mutex mutex_;
  std::multimap<int64_t, Block> blocks_;  // by size
  int64_t num_bytes_ = 0;
};

}  // namespace amt::engine
