// Memory of a GPU, and the stream in which its work goes on. In the tests it is memory of this process, NaN at first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "device.cuh"

namespace amt::cuda {

// The GPU, or what was asked of it, failed.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct OutOfMemory : std::runtime_error {
  using std::runtime_error::runtime_error;
};

#ifdef __CUDACC__

// error: CUDA's number.
inline void check_device(int error, const char* what) {
  if (error == 0) return;
  if (error < 0) throw std::invalid_argument(std::string("there is no kernel for these sizes: ") + what);
  throw DeviceError(std::string(what) + ": " + cudaGetErrorString(static_cast<cudaError_t>(error)));
}

// The order of the work on a GPU.
class Stream {
 public:
  explicit Stream(int device) : device_(device) {
    use();
    check_device(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
  }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void* get() const { return stream_; }
  // Every thread of the CPU begins with the first GPU.
  void use() const { check_device(cudaSetDevice(device_), "the GPU cannot be used"); }
  void wait() const { check_device(cudaStreamSynchronize(stream_), "a step"); }
  void to_device(void* to, const void* from, size_t bytes) const {
    if (bytes == 0) return;  // of nothing the address may be null
    check_device(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "copying to the GPU");
  }
  void to_host(void* to, const void* from, size_t bytes) const {
    check_device(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "copying from the GPU");
    wait();
  }
  void zero(void* to, size_t bytes) const { check_device(cudaMemsetAsync(to, 0, bytes, stream_), "zeros"); }

 private:
  int device_;
  cudaStream_t stream_ = nullptr;
};

inline void* allocate(size_t bytes, const std::string& to_lower) {
  void* place = nullptr;
  const cudaError_t error = cudaMalloc(&place, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it is told now
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw OutOfMemory("the GPU needs " + std::to_string((bytes >> 20) + 1) + " MiB, and " + std::to_string(free >> 20) +
                      " of " + std::to_string(total >> 20) + " MiB are free; " + to_lower);
  }
  check_device(error, "memory of the GPU");
  return place;
}
inline void deallocate(void* place) { cudaFree(place); }

#else

inline void check_device(int error, const char* what) {
  if (error < 0) throw std::invalid_argument(std::string("there is no kernel for these sizes: ") + what);
  if (error != 0) throw DeviceError(std::string(what) + ": " + cuda_on_cpu_error());
}

class Stream {
 public:
  explicit Stream(int) {}
  void* get() const { return nullptr; }
  void use() const {}
  void wait() const {}
  void to_device(void* to, const void* from, size_t bytes) const {
    if (bytes > 0) std::memcpy(to, from, bytes);  // of nothing the address may be null
  }
  void to_host(void* to, const void* from, size_t bytes) const { std::memcpy(to, from, bytes); }
  void zero(void* to, size_t bytes) const { std::memset(to, 0, bytes); }
};

inline void* allocate(size_t bytes, const std::string& to_lower) {
  if (bytes > size_t{1} << 34) throw OutOfMemory("the GPU needs " + std::to_string(bytes >> 20) + " MiB; " + to_lower);
  void* place = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(place, 0xFF, bytes);
  return place;
}
inline void deallocate(void* place) { std::free(place); }

#endif

// One block of memory in parts: first `take` says how large it is, then `make` makes it.
class DeviceBlock {
 public:
  DeviceBlock() = default;
  DeviceBlock(const DeviceBlock&) = delete;
  DeviceBlock& operator=(const DeviceBlock&) = delete;
  ~DeviceBlock() {
    if (memory_ != nullptr) deallocate(memory_);
  }

  // The offset of a part, a multiple of 256.
  int64_t take(int64_t num, size_t size) {
    constexpr int64_t kMost = int64_t{1} << 46;
    const auto bytes = static_cast<int64_t>(size);
    if (num > (kMost - bytes_) / bytes) throw std::bad_alloc();
    const int64_t offset = bytes_;
    bytes_ += (num * bytes + 255) / 256 * 256;
    return offset;
  }
  // to_lower: what to do if there is not so much memory.
  void make(const std::string& to_lower) {
    memory_ = static_cast<std::byte*>(allocate(static_cast<size_t>(bytes_), to_lower));
  }
  std::byte* at(int64_t offset) const { return memory_ + offset; }
  int64_t num_bytes() const { return bytes_; }

 private:
  std::byte* memory_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace amt::cuda
