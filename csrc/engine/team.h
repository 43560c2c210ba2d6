// Threads for the length of one run, and the barrier at which they meet between the phases of a step.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace amt::engine {

// Half-open part `index` of `count` of the numbers 0..size-1.
struct Range {
  int64_t first, last;
};
inline Range part_of(int64_t size, int64_t index, int64_t count) {
  return {size * index / count, size * (index + 1) / count};
}

// Waiting threads spin first, since phases take microseconds, and then sleep: where the machine has other work, the
// thread that is waited for may need this one's processor.
class Barrier {
 public:
  explicit Barrier(int64_t num_threads) : num_threads_(num_threads) {}

  void wait() {
    if (num_threads_ == 1) return;
    const uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == num_threads_ - 1) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_seq_cst);
      if (num_asleep_.load(std::memory_order_seq_cst) > 0) {
        const std::lock_guard<std::mutex> lock(mutex_);
        wake_.notify_all();
      }
      return;
    }
    for (int spins = 0; spins < kSpins; ++spins) {
      if (phase_.load(std::memory_order_acquire) != phase) return;
      pause();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    num_asleep_.fetch_add(1, std::memory_order_seq_cst);
    wake_.wait(lock, [&] { return phase_.load(std::memory_order_seq_cst) != phase; });
    num_asleep_.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  static constexpr int kSpins = 1000;  // some ten microseconds

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  const int64_t num_threads_;
  alignas(64) std::atomic<int64_t> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};
  std::atomic<int64_t> num_asleep_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

// Where the time of a run goes, in nanoseconds of the team's first thread, waiting at barriers included.
struct StageTimes {
  int64_t matmul = 0, attention = 0, rows = 0, choice = 0;
};

// Adds the time since the last lap to a stage.
class Stopwatch {
 public:
  void lap(int64_t& stage) {
    const auto now = std::chrono::steady_clock::now();
    stage += std::chrono::duration_cast<std::chrono::nanoseconds>(now - last_).count();
    last_ = now;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// One thread of a team.
struct Member {
  int64_t index, num_threads;
  Barrier* barrier;

  void wait() const { barrier->wait(); }
  Range part(int64_t size) const { return part_of(size, index, num_threads); }
};

// Runs `work` on num_threads threads, this one among them, and returns when all have. `work` must not throw. Where the
// system gives fewer threads, there are fewer.
inline void run_team(int64_t num_threads, const std::function<void(const Member&)>& work) {
  if (num_threads <= 1) {
    Barrier barrier(1);
    work({0, 1, &barrier});
    return;
  }
  std::atomic<int64_t> team_size{0};  // 0: not yet known
  Barrier* barrier = nullptr;
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(num_threads - 1));
  for (int64_t index = 1; index < num_threads; ++index) {
    try {
      threads.emplace_back([&, index] {
        int64_t size;
        while ((size = team_size.load(std::memory_order_acquire)) == 0) std::this_thread::yield();
        work({index, size, barrier});
      });
    } catch (const std::system_error&) {
      break;
    }
  }
  const auto size = static_cast<int64_t>(threads.size()) + 1;
  Barrier shared(size);
  barrier = &shared;
  team_size.store(size, std::memory_order_release);
  work({0, size, &shared});
  for (std::thread& thread : threads) thread.join();
}

}  // namespace amt::engine
