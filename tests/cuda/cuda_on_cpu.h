// CUDA C++ on a CPU, for tests: as much of its language as kernels/cuda uses. The threads of a block are fibers, which
// take turns at barriers and where a warp exchanges numbers; blocks run one after the other.
//
// It is strict where a GPU is silent:
// - shared memory begins as NaN, and what is written behind its end is found;
// - a barrier that some threads never reach, or two barriers at once, are errors;
// - the order of blocks and of threads is that of `order`: 0 ascending, 1 descending, else drawn from that number. In a
//   drawn order a warp runs ahead of the others as far as barriers let it.
// A loop of a graph is a loop, whose condition is a number in memory; `cuda_on_cpu_set_loops(0)` is a driver without.
// An error ends the launch; `last_error` says what it was. Compiled with -fsanitize=thread and race_watch.cpp, so is
// memory that threads share without a barrier or a fence. What cannot be seen here: how fast anything is, and how
// tensor cores round.
//
// Kernels include it through kernels/cuda/device.cuh.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "race_watch.h"

using std::max;
using std::min;

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

namespace cuda_on_cpu {

constexpr int kWarp = 32, kMaxThreads = 1024;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 512 << 10;  // whose frames are larger
#else
constexpr size_t kStackBytes = 64 << 10;
#endif
constexpr size_t kGuardBytes = 4 << 10;
constexpr size_t kMaxSharedBytes = 99 << 10;  // of consumers' GPUs, the smallest that are supported

// Where a fiber stands: on x86-64 nothing but its stack, on which the registers lie that a call must keep.
#if defined(__x86_64__)
extern "C" void cuda_on_cpu_switch(void** from, void* to);
asm(R"(
.text
.weak cuda_on_cpu_switch
cuda_on_cpu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");
struct Context {
  void* stack_pointer = nullptr;
  void begin(unsigned char* stack, void (*entry)()) {
    auto** top = reinterpret_cast<void**>(stack + kStackBytes);
    *--top = nullptr;  // `entry` finds the stack as behind a call
    *--top = reinterpret_cast<void*>(entry);
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
    stack_pointer = top;
  }
  static void change(Context& from, Context& to) { cuda_on_cpu_switch(&from.stack_pointer, to.stack_pointer); }
};
#else
struct Context {
  ucontext_t state{};
  void begin(unsigned char* stack, void (*entry)()) {
    getcontext(&state);
    state.uc_stack.ss_sp = stack;
    state.uc_stack.ss_size = kStackBytes;
    makecontext(&state, entry, 0);
  }
  static void change(Context& from, Context& to) { swapcontext(&from.state, &to.state); }
};
#endif

struct Fiber {
  Context context;
  bool is_done = false;
};

// Threads that wait for each other: those of a block, or of a warp. `line` is where the first of them waits.
struct Meeting {
  int num_waiting = 0, line = 0;
  unsigned round = 0;
};

struct Warp {
  Meeting meeting;
  unsigned char given[2][kWarp][16];  // in this round and in the one before
};

struct Machine {
  dim3 grid, block, block_index, thread_index;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<unsigned char> stacks, shared;
  size_t shared_bytes = 0;
  unsigned char* shared_start = nullptr;
  Meeting meeting;
  Context caller;
  unsigned now = 0;  // the thread that runs
  bool has_moved = false;
  std::function<void()> kernel;
  uint64_t order = 0;
  bool has_loops = true;
  int64_t num_launches = 0;
  char error[300] = "";
};

inline Machine& machine() {
  static Machine only;
  return only;
}

inline bool has_loops() { return machine().has_loops; }

inline void fail(const char* what) {
  Machine& m = machine();
  if (m.error[0] == '\0') {
    std::snprintf(m.error, sizeof(m.error), "%s (block %u %u %u, thread %u)", what, m.block_index.x, m.block_index.y,
                  m.block_index.z, m.now);
  }
}

CUDA_ON_CPU_UNWATCHED inline void leave() {
  Machine& m = machine();
  Context::change(m.fibers[m.now].context, m.caller);
}

[[noreturn]] inline void give_up(const char* what) {
  fail(what);
  for (;;) leave();  // nobody comes back
}

CUDA_ON_CPU_UNWATCHED inline void enter() {
  Machine& m = machine();
  m.kernel();
  m.fibers[m.now].is_done = m.has_moved = true;
  for (;;) leave();
}

// Waits until `num_threads` are here; the number of the round.
CUDA_ON_CPU_UNWATCHED inline unsigned meet(Meeting& meeting, int num_threads, int line) {
  Machine& m = machine();
  const unsigned round = meeting.round;
  if (meeting.num_waiting > 0 && meeting.line != line) give_up("threads wait at two barriers at once");
  meeting.line = line;
  m.has_moved = true;
  if (++meeting.num_waiting == num_threads) {
    meeting.num_waiting = 0;
    ++meeting.round;
  }
  while (meeting.round == round) leave();
  return round;
}

// A barrier of the block.
CUDA_ON_CPU_UNWATCHED inline void wait_for_block(int line) {
  Machine& m = machine();
  (void)meet(m.meeting, static_cast<int>(m.block.x), line);
  race_watch_barrier();
}

CUDA_ON_CPU_UNWATCHED inline int lane() { return static_cast<int>(machine().now % kWarp); }
CUDA_ON_CPU_UNWATCHED inline Warp& warp() { return machine().warps[machine().now / kWarp]; }

// Every lane gives a number and sees those of all; they are valid until the meeting after the next.
template <typename T>
CUDA_ON_CPU_UNWATCHED const unsigned char (*exchange(const T& mine, int line))[16] {
  static_assert(sizeof(T) <= 16);
  Warp& own = warp();
  std::memcpy(own.given[own.meeting.round & 1][lane()], &mine, sizeof(T));
  return own.given[meet(own.meeting, kWarp, line) & 1];
}

template <typename T>
CUDA_ON_CPU_UNWATCHED T given_by(const unsigned char (*all)[16], int lane) {
  T value;
  std::memcpy(&value, all[lane & (kWarp - 1)], sizeof(T));
  return value;
}

inline std::vector<unsigned> ordered(size_t size, uint64_t order) {
  std::vector<unsigned> places(size);
  for (size_t i = 0; i < size; ++i) places[i] = static_cast<unsigned>(order == 1 ? size - 1 - i : i);
  uint64_t state = order;
  for (size_t i = size; order > 1 && i > 1; --i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::swap(places[i - 1], places[(state >> 33) % i]);
  }
  return places;
}

// Lets each thread go on once; how many have not ended.
CUDA_ON_CPU_UNWATCHED inline size_t run_once(const std::vector<unsigned>& threads) {
  Machine& m = machine();
  size_t num_left = 0;
  for (const unsigned thread : threads) {
    if (m.fibers[thread].is_done) continue;
    m.now = thread;
    m.thread_index = dim3(thread, 0, 0);
    race_watch_thread(thread);
    Context::change(m.caller, m.fibers[thread].context);
    race_watch_thread(kNoThread);
    if (m.error[0] != '\0') return 0;
    num_left += m.fibers[thread].is_done ? 0 : 1;
  }
  return num_left;
}

// teams: of threads; each goes on as far as it gets while the others stand, if there are several.
CUDA_ON_CPU_UNWATCHED inline void run_block(const std::vector<std::vector<unsigned>>& teams) {
  Machine& m = machine();
  std::memset(m.shared_start, 0xFF, m.shared_bytes + kGuardBytes);
  m.meeting = Meeting{};
  race_watch_block();
  for (Warp& each : m.warps) each.meeting = Meeting{};
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(m.stacks.data(), m.stacks.size());  // from the fibers before, which did not return
#endif
  for (size_t thread = 0; thread < m.fibers.size(); ++thread) {
    m.fibers[thread].is_done = false;
    m.fibers[thread].context.begin(m.stacks.data() + thread * kStackBytes, &enter);
  }
  for (size_t num_left = 1; num_left > 0;) {
    num_left = 0;
    bool has_moved = false;
    for (const std::vector<unsigned>& team : teams) {
      size_t num_of_team = 0;
      do {
        m.has_moved = false;
        num_of_team = run_once(team);
        if (m.error[0] != '\0') return;
        has_moved |= m.has_moved;
      } while (m.has_moved && teams.size() > 1);
      num_left += num_of_team;
    }
    if (num_left > 0 && !has_moved) return fail("threads wait at a barrier that others never reach");
  }
  for (size_t i = 0; i < kGuardBytes; ++i) {
    if (m.shared_start[m.shared_bytes + i] != 0xFF) return fail("a write behind the end of shared memory");
  }
}

CUDA_ON_CPU_UNWATCHED inline int launch(dim3 grid, dim3 block, size_t shared_bytes, std::function<void()> kernel) {
  Machine& m = machine();
  m.error[0] = '\0';
  m.now = 0;
  ++m.num_launches;
  if (block.y != 1 || block.z != 1 || block.x == 0 || block.x > kMaxThreads || block.x % kWarp != 0) {
    fail("a block must have one dimension and whole warps");
  }
  if (shared_bytes > kMaxSharedBytes) fail("more shared memory than 99 KiB");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535) fail("no such grid");
  if (m.error[0] != '\0') return 1;
  m.grid = grid;
  m.block = block;
  m.kernel = std::move(kernel);
  m.fibers.resize(block.x);
  m.warps.resize(block.x / kWarp);
  m.stacks.resize(block.x * kStackBytes);
  m.shared.resize(shared_bytes + kGuardBytes + 128);
  const auto start = reinterpret_cast<uintptr_t>(m.shared.data());
  m.shared_start = m.shared.data() + (128 - start % 128) % 128;
  m.shared_bytes = shared_bytes;
  race_watch_launch(m.shared_start, shared_bytes + kGuardBytes, m.stacks.data(), m.stacks.size());
  std::vector<std::vector<unsigned>> teams;
  if (m.order <= 1) {
    teams.push_back(ordered(block.x, m.order));
  } else {
    for (const unsigned warp : ordered(block.x / kWarp, m.order)) {
      teams.push_back(ordered(kWarp, m.order));
      for (unsigned& thread : teams.back()) thread += warp * kWarp;
    }
  }
  for (const unsigned number : ordered(size_t{grid.x} * grid.y * grid.z, m.order)) {
    m.block_index = dim3(number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y);
    run_block(teams);
    if (m.error[0] != '\0') return 1;
  }
  return 0;
}

}  // namespace cuda_on_cpu

extern "C" inline const char* __attribute__((used)) cuda_on_cpu_error() { return cuda_on_cpu::machine().error; }
extern "C" CUDA_ON_CPU_UNWATCHED inline void __attribute__((used)) cuda_on_cpu_found(const char* what) {
  cuda_on_cpu::fail(what);
}
extern "C" inline void __attribute__((used)) cuda_on_cpu_set_order(uint64_t order) {
  cuda_on_cpu::machine().order = order;
}

extern "C" inline int64_t __attribute__((used)) cuda_on_cpu_num_launches() {
  return cuda_on_cpu::machine().num_launches;
}
extern "C" inline void __attribute__((used)) cuda_on_cpu_set_loops(int has_loops) {
  cuda_on_cpu::machine().has_loops = has_loops != 0;
}

using cudaGraphConditionalHandle = uintptr_t;  // the address of the condition
inline void cudaGraphSetConditional(cudaGraphConditionalHandle condition, unsigned value) {
  *reinterpret_cast<unsigned*>(condition) = value;
}

#define threadIdx (cuda_on_cpu::machine().thread_index)
#define blockIdx (cuda_on_cpu::machine().block_index)
#define blockDim (cuda_on_cpu::machine().block)
#define gridDim (cuda_on_cpu::machine().grid)

// Barriers are told apart by their line: addresses of calls are copied by compilers.
#define __syncthreads() cuda_on_cpu::wait_for_block(__LINE__)
#define __shfl_xor_sync(mask, value, flip) cuda_on_cpu::shuffle_xor(mask, value, flip, __LINE__)

namespace cuda_on_cpu {
template <typename T>
T shuffle_xor(unsigned mask, T value, int flip, int line) {
  if (mask != 0xFFFFFFFFu) give_up("only whole warps exchange numbers here");
  return given_by<T>(exchange(value, line), lane() ^ flip);
}
}  // namespace cuda_on_cpu

// Blocks run one after the other: what fences and atomics order is for race_watch.cpp.
inline void __threadfence() { race_watch_fence(); }
template <typename T>
CUDA_ON_CPU_UNWATCHED T atomicAdd(T* place, T value) {
  race_watch_atomic(place, sizeof(T));
  const T before = *place;
  *place = before + value;
  return before;
}
