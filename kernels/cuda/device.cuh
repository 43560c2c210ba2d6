// The language of the kernels: CUDA under nvcc, and the same words on a CPU under g++ (tests/cuda/cuda_on_cpu.h), so
// that one set of files runs on a GPU and in the tests. And the instructions that C++ has no word for, each with its
// meaning.
#pragma once

#ifdef __CUDACC__
#include <cuda_runtime.h>

#include <cstdint>
#define AMT_SHARED(type, name)                                    \
  extern __shared__ __align__(128) unsigned char shared_memory[]; \
  type& name = *reinterpret_cast<type*>(shared_memory)
#define AMT_LAUNCH(kernel, grid, block, bytes, stream, call) \
  amt::cuda::launched(kernel, grid, block, bytes, static_cast<cudaStream_t>(stream), call)
#else
#include "cuda_on_cpu.h"
#define AMT_SHARED(type, name) type& name = *reinterpret_cast<type*>(cuda_on_cpu::machine().shared_start)
#define AMT_LAUNCH(kernel, grid, block, bytes, stream, call) \
  ((void)(stream), cuda_on_cpu::launch(grid, block, bytes, [=] { kernel(call); }))
#endif

namespace amt::cuda {

constexpr int kWarp = 32;
constexpr size_t kMaxSharedBytes = 99 << 10;  // of a block on the smallest GPUs that are supported
constexpr unsigned kAllLanes = 0xFFFFFFFFu;
constexpr float kLog2E = 1.4426950408889634f;

#ifdef __CUDACC__

// Starts a kernel, with more than 48 KiB of shared memory if it needs them; CUDA's number of the error, 0: none.
template <typename Kernel, typename Call>
int launched(Kernel kernel, dim3 grid, dim3 block, size_t bytes, cudaStream_t stream, const Call& call) {
  if (bytes > 48 << 10) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
    if (error != cudaSuccess) return static_cast<int>(error);
  }
  kernel<<<grid, block, bytes, stream>>>(call);
  return static_cast<int>(cudaGetLastError());
}

__device__ __forceinline__ float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ float bits_to_float(uint32_t bits) { return __uint_as_float(bits); }

// Two numbers, rounded to nearest, ties to even; the first one in the low half.
__device__ __forceinline__ uint32_t to_bfloats(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

// sums (16 x 8) += a (16 x 16) b (16 x 8), bfloat16 with sums in float32; fragments as in the PTX manual, mma.m16n8k16.
__device__ __forceinline__ void multiply_add(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else

inline float power_of_two(float x) { return std::exp2(x); }

inline float bits_to_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

inline uint32_t to_bfloat(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return 0x7FFF;  // NaN
  return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}

inline uint32_t to_bfloats(float low, float high) { return to_bfloat(low) | to_bfloat(high) << 16; }

inline void multiply_add(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const auto half = [](uint32_t pair, int k) { return bits_to_float(k % 2 == 0 ? pair << 16 : pair & 0xFFFF0000u); };
  // Row r of `a` lies in lanes 4 (r % 8) .., column c of `b` in lanes 4 c ..; of 16 inner places a lane has two and
  // two.
  uint32_t rows[4][4], columns[2][2][4];  // [part][lane of the row], [column of this lane][half][lane of the column]
  const int group = cuda_on_cpu::lane() / 4, quarter = cuda_on_cpu::lane() % 4;
  struct Four {
    uint32_t part[4];
  };
  struct Two {
    uint32_t part[2];
  };
  const auto all_a = cuda_on_cpu::exchange(Four{{a[0], a[1], a[2], a[3]}}, -1);
  for (int owner = 0; owner < 4; ++owner) {
    const Four theirs = cuda_on_cpu::given_by<Four>(all_a, 4 * group + owner);
    for (int part = 0; part < 4; ++part) rows[part][owner] = theirs.part[part];
  }
  const auto all_b = cuda_on_cpu::exchange(Two{{b[0], b[1]}}, -2);
  for (int column = 0; column < 2; ++column) {
    for (int owner = 0; owner < 4; ++owner) {
      const Two theirs = cuda_on_cpu::given_by<Two>(all_b, 4 * (2 * quarter + column) + owner);
      for (int part = 0; part < 2; ++part) columns[column][part][owner] = theirs.part[part];
    }
  }
  for (int place = 0; place < 4; ++place) {
    float sum = sums[place];
    for (int k = 0; k < 16; ++k) {
      const uint32_t x = rows[place / 2 + 2 * (k / 8)][k % 8 / 2], y = columns[place % 2][k / 8][k % 8 / 2];
      sum += half(x, k) * half(y, k);
    }
    sums[place] = sum;
  }
}

#endif

__device__ __forceinline__ float low_bfloat(uint32_t pair) { return bits_to_float(pair << 16); }
__device__ __forceinline__ float high_bfloat(uint32_t pair) { return bits_to_float(pair & 0xFFFF0000u); }

struct Bfloat {  // what weights and caches may be kept in, beside float
  uint16_t bits;
};

// Eight neighbours, from an address that is a multiple of 16.
__device__ __forceinline__ void load_eight(const Bfloat* from, float (&to)[8]) {
  const uint4 pairs = *reinterpret_cast<const uint4*>(from);
  to[0] = low_bfloat(pairs.x), to[1] = high_bfloat(pairs.x), to[2] = low_bfloat(pairs.y), to[3] = high_bfloat(pairs.y);
  to[4] = low_bfloat(pairs.z), to[5] = high_bfloat(pairs.z), to[6] = low_bfloat(pairs.w), to[7] = high_bfloat(pairs.w);
}
__device__ __forceinline__ void load_eight(const float* from, float (&to)[8]) {
  const float4 first = reinterpret_cast<const float4*>(from)[0], second = reinterpret_cast<const float4*>(from)[1];
  to[0] = first.x, to[1] = first.y, to[2] = first.z, to[3] = first.w;
  to[4] = second.x, to[5] = second.y, to[6] = second.z, to[7] = second.w;
}

__device__ __forceinline__ float load_one(const Bfloat* from) { return low_bfloat(from->bits); }
__device__ __forceinline__ float load_one(const float* from) { return *from; }

// Over the lanes that differ in the low bits: all lanes of each such group get the same sum, in one order.
template <int kLanes>
__device__ __forceinline__ float sum_of_lanes(float x) {
#pragma unroll
  for (int flip = kLanes / 2; flip > 0; flip /= 2) x += __shfl_xor_sync(kAllLanes, x, flip);
  return x;
}

__device__ __forceinline__ float max_of_warp(float x) {
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, flip));
  return x;
}

// The last block to arrive of those that share a counter, which is 0 before and after; called by all threads. What the
// others have written before is there for it.
__device__ __forceinline__ bool is_last_to_arrive(uint32_t* counter, uint32_t num_blocks, int& is_last) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();  // publishes what the threads of this block have written
    is_last = atomicAdd(counter, 1u) == num_blocks - 1 ? 1 : 0;
    __threadfence();  // and receives what the others have
    if (is_last) *counter = 0;
  }
  __syncthreads();
  return is_last != 0;
}

}  // namespace amt::cuda
