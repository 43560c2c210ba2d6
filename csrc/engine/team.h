// Threads that live as long as a generation, and the barrier at which they meet between the phases of a step.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif
#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace amt::engine {

constexpr int64_t kMostThreads = 1024;

// At least 1. Throws std::invalid_argument for more than a machine has.
inline int64_t checked_threads(int64_t num_threads) {
  if (num_threads <= kMostThreads) return std::max<int64_t>(1, num_threads);
  throw std::invalid_argument("num_threads must be at most " + std::to_string(kMostThreads) + ", got " +
                              std::to_string(num_threads));
}

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

// Threads that wait between runs, and work together with the thread that calls `run`. Where the system gives fewer
// threads, there are fewer. Of a team that a process inherits by fork no thread is left: it starts new ones.
class Team {
 public:
  explicit Team(int64_t num_threads) : num_threads_(num_threads) {}
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team() { stop(); }

  // `work` by the first so many members; returns when all have done theirs. It must not throw.
  void run(const std::function<void(const Member&)>& work, int64_t num_working = kMostThreads) {
    if (!crew_ || crew_->process != process_id()) start();
    Crew& crew = *crew_;
    num_working = std::min(num_working, crew.size());
    if (num_working == 1) {  // the others sleep
      Barrier alone(1);
      return work({0, 1, &alone});
    }
    if (num_working != crew.num_working) {
      crew.inner = std::make_unique<Barrier>(num_working);
      crew.num_working = num_working;
    }
    crew.work = &work;
    crew.barrier->wait();
    work({0, num_working, crew.inner.get()});
    crew.barrier->wait();
  }

 private:
  struct Crew {
    int64_t process;
    std::vector<std::thread> threads;         // all but the caller of `run`
    std::unique_ptr<Barrier> barrier, inner;  // of all, and of those that work
    int64_t num_working = 0;
    const std::function<void(const Member&)>* work = nullptr;  // nullptr: the end
    std::atomic<bool> is_ready{false};

    int64_t size() const { return static_cast<int64_t>(threads.size()) + 1; }
  };

  static int64_t process_id() {
#if defined(_WIN32)
    return 0;
#else
    return getpid();
#endif
  }

  static void follow(Crew& crew, int64_t index) {
    while (!crew.is_ready.load(std::memory_order_acquire)) std::this_thread::yield();
    for (;;) {
      crew.barrier->wait();
      if (crew.work == nullptr) return;
      if (index < crew.num_working) (*crew.work)({index, crew.num_working, crew.inner.get()});
      crew.barrier->wait();
    }
  }

  void start() {
    stop();
    crew_ = std::make_unique<Crew>();
    Crew& crew = *crew_;
    crew.process = process_id();
    crew.threads.reserve(static_cast<size_t>(std::max<int64_t>(0, num_threads_ - 1)));
    for (int64_t index = 1; index < num_threads_; ++index) {
      try {
        crew.threads.emplace_back(follow, std::ref(crew), index);
      } catch (const std::system_error&) {
        break;
      }
    }
    crew.barrier = std::make_unique<Barrier>(crew.size());
    crew.is_ready.store(true, std::memory_order_release);
  }

  void stop() {
    if (!crew_) return;
    if (crew_->process != process_id()) {  // its threads are another process'
      static_cast<void>(crew_.release());
      return;
    }
    crew_->work = nullptr;
    crew_->barrier->wait();
    for (std::thread& thread : crew_->threads) thread.join();
    crew_.reset();
  }

  int64_t num_threads_;
  std::unique_ptr<Crew> crew_;
};

}  // namespace amt::engine
