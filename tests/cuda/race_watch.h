// What a build with -fsanitize=thread tells race_watch.cpp of the threads of cuda_on_cpu.h. Without it: nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_THREAD__) || defined(CUDA_ON_CPU_WATCH)
#define CUDA_ON_CPU_UNWATCHED __attribute__((no_sanitize_thread, noinline))
extern "C" {
// Memory that belongs to a block, and the stacks, which belong to a thread.
void race_watch_launch(const void* shared, size_t shared_bytes, const void* stacks, size_t stack_bytes);
void race_watch_block();
void race_watch_thread(unsigned thread);  // this one runs from now on; kNoThread: the CPU
void race_watch_barrier();                // this thread has come to a barrier of its block
void race_watch_fence();
void race_watch_atomic(const void* place, size_t size);
}
#else
#define CUDA_ON_CPU_UNWATCHED
inline void race_watch_launch(const void*, size_t, const void*, size_t) {}
inline void race_watch_block() {}
inline void race_watch_thread(unsigned) {}
inline void race_watch_barrier() {}
inline void race_watch_fence() {}
inline void race_watch_atomic(const void*, size_t) {}
#endif

inline constexpr unsigned kNoThread = ~0u;
