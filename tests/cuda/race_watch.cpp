// Finds races of a GPU's threads on a CPU. g++ -fsanitize=thread makes kernels tell of every read and write; here is
// what they tell it to, in place of ThreadSanitizer's own library, which knows no GPU. This file is compiled without
// it.
//
// Two threads race if both use a byte, one at least writes it, and nothing orders them. What orders them on a GPU:
// - they are in two launches;
// - they are in one block, and a barrier stands between;
// - they are in two blocks: behind a fence the first has changed a number by an atomic, and the second, by an atomic,
//   has found it changed, and then had a fence. With a barrier before and behind, this holds for whole blocks.
// What a warp exchanges orders nothing: a GPU does not promise that. That fibers run one after the other does not
// count.
#include <dlfcn.h>

#include <cstdio>
#include <memory>
#include <unordered_map>
#include <vector>

#define CUDA_ON_CPU_WATCH
#include "race_watch.h"

// Of cuda_on_cpu.h: ends the launch.
extern "C" void cuda_on_cpu_found(const char* what);

namespace {

struct Access {
  uint32_t block = 0;  // counted over all launches, from 1
  uint16_t thread = 0;
  uint16_t round = 0;  // how many barriers the thread has behind it
};

struct Cell {  // of a byte
  Access write, reads[2];
  bool is_atomic = false;  // the write: an atomic, or volatile
};

constexpr size_t kPageBytes = 1024, kMaxThreads = 1024;
struct Page {
  Cell cells[kPageBytes];
};

// What block `from` has done before a thread's barrier and what that thread has done itself, is there for another
// block: for a thread of it from now on, for the others behind a barrier.
struct Order {
  Access from, to;
};

struct Thread {
  uint16_t round = 0;
  bool has_fenced = false;
  const void* changed = nullptr;  // by an atomic, since the last fence
};

struct Watch {
  std::unordered_map<uintptr_t, std::unique_ptr<Page>> pages;
  uintptr_t last_number = 0;
  Page* last_page = nullptr;
  uintptr_t shared = 0, shared_end = 0, stacks = 0, stacks_end = 0;
  uint32_t first_block = 1, block = 0;
  unsigned now = kNoThread;
  Thread threads[kMaxThreads];
  std::unordered_map<const void*, std::vector<Access>> released;  // in this launch, by atomics behind fences
  std::vector<Order> orders;                                      // to this block
};

Watch& watch() {
  static Watch only;
  return only;
}

Access me(const Watch& own) { return {own.block, static_cast<uint16_t>(own.now), own.threads[own.now].round}; }

// Whether an access before is ordered with what this thread does now.
bool is_ordered(const Watch& own, const Access& before, bool is_shared) {
  if (before.block < own.first_block) return true;
  if (before.block == own.block) return before.thread == own.now || before.round < own.threads[own.now].round;
  if (is_shared) return true;  // every block has its own
  for (const Order& order : own.orders) {
    if (order.from.block != before.block) continue;
    const bool is_before = before.thread == order.from.thread || before.round < order.from.round;
    const bool is_behind = own.now == order.to.thread || own.threads[own.now].round > order.to.round;
    if (is_before && is_behind) return true;
  }
  return false;
}

void found(const Watch& own, const Access& before, bool was_write, bool is_write, const void* code) {
  Dl_info info{};
  dladdr(code, &info);
  char text[180];
  std::snprintf(text, sizeof(text), "a race: a %s, and before it a %s of block %u, thread %u; no order, at +0x%zx",
                is_write ? "write" : "read", was_write ? "write" : "read", before.block - own.first_block,
                unsigned{before.thread},
                static_cast<size_t>(static_cast<const char*>(code) - static_cast<const char*>(info.dli_fbase)));
  cuda_on_cpu_found(text);
}

void access(const void* place, size_t size, bool is_write, bool is_atomic, const void* code) {
  Watch& own = watch();
  const auto first = reinterpret_cast<uintptr_t>(place);
  if (own.now == kNoThread || (first >= own.stacks && first < own.stacks_end)) return;
  const bool is_shared = first >= own.shared && first < own.shared_end;
  for (uintptr_t byte = first; byte < first + size; ++byte) {
    const uintptr_t number = byte / kPageBytes;
    if (number != own.last_number) {
      std::unique_ptr<Page>& page = own.pages[number];
      if (page == nullptr) page = std::make_unique<Page>();
      own.last_number = number, own.last_page = page.get();
    }
    Cell& cell = own.last_page->cells[byte % kPageBytes];
    if (!(is_atomic && cell.is_atomic) && !is_ordered(own, cell.write, is_shared)) {
      return found(own, cell.write, true, is_write, code);
    }
    if (is_write) {
      for (Access& read : cell.reads) {
        if (!is_ordered(own, read, is_shared)) return found(own, read, false, true, code);
        read = {};
      }
      cell.write = me(own);
      cell.is_atomic = is_atomic;
    } else {
      const bool is_same = cell.reads[0].block == own.block && cell.reads[0].thread == own.now;
      if (!is_same) cell.reads[1] = cell.reads[0];
      cell.reads[0] = me(own);
    }
  }
}

}  // namespace

extern "C" {

void race_watch_launch(const void* shared, size_t shared_bytes, const void* stacks, size_t stack_bytes) {
  Watch& own = watch();
  own.shared = reinterpret_cast<uintptr_t>(shared);
  own.shared_end = own.shared + shared_bytes;
  own.stacks = reinterpret_cast<uintptr_t>(stacks);
  own.stacks_end = own.stacks + stack_bytes;
  own.first_block = own.block + 1;
  own.released.clear();
}
void race_watch_block() {
  Watch& own = watch();
  ++own.block;
  own.orders.clear();
  for (Thread& thread : own.threads) thread = {};
}
void race_watch_thread(unsigned thread) { watch().now = thread; }
void race_watch_barrier() { ++watch().threads[watch().now].round; }

void race_watch_fence() {
  Watch& own = watch();
  Thread& thread = own.threads[own.now];
  if (thread.changed != nullptr) {
    for (const Access& from : own.released[thread.changed]) {
      if (from.block != own.block) own.orders.push_back({from, me(own)});
    }
  }
  thread.changed = nullptr;
  thread.has_fenced = true;
}

void race_watch_atomic(const void* place, size_t size) {
  Watch& own = watch();
  Thread& thread = own.threads[own.now];
  access(place, size, true, true, __builtin_return_address(0));
  if (thread.has_fenced) own.released[place].push_back(me(own));
  thread.has_fenced = false;
  thread.changed = place;
}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
#define WATCHED_AS(name, size, is_write, is_atomic) \
  void __tsan_##name##size(void* at) { access(at, size, is_write, is_atomic, __builtin_return_address(0)); }
#define WATCHED(size)                                    \
  WATCHED_AS(read, size, false, false)                   \
  WATCHED_AS(write, size, true, false)                   \
  WATCHED_AS(unaligned_read, size, false, false)         \
  WATCHED_AS(unaligned_write, size, true, false)         \
  WATCHED_AS(volatile_read, size, false, true)           \
  WATCHED_AS(volatile_write, size, true, true)           \
  WATCHED_AS(unaligned_volatile_read, size, false, true) \
  WATCHED_AS(unaligned_volatile_write, size, true, true)
WATCHED(1)
WATCHED(2)
WATCHED(4)
WATCHED(8)
WATCHED(16)
#undef WATCHED
#undef WATCHED_AS
void __tsan_read_range(void* at, size_t size) { access(at, size, false, false, __builtin_return_address(0)); }
void __tsan_write_range(void* at, size_t size) { access(at, size, true, false, __builtin_return_address(0)); }
void __tsan_vptr_read(void** at) { access(at, sizeof(void*), false, false, __builtin_return_address(0)); }
void __tsan_vptr_update(void** at, void*) { access(at, sizeof(void*), true, false, __builtin_return_address(0)); }

// Atomics of the C++ library, on the CPU alone.
int __tsan_atomic32_fetch_add(volatile int* at, int value, int) {
  return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);
}
int __tsan_atomic32_load(const volatile int* at, int) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); }
void __tsan_atomic32_store(volatile int* at, int value, int) { __atomic_store_n(at, value, __ATOMIC_SEQ_CST); }
char __tsan_atomic8_load(const volatile char* at, int) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); }
void __tsan_atomic8_store(volatile char* at, char value, int) { __atomic_store_n(at, value, __ATOMIC_SEQ_CST); }
}
