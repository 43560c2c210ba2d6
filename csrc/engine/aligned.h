// Memory for rows: 64-byte aligned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

namespace amt::engine {

template <typename T>
class AlignedVector {
 public:
  AlignedVector() = default;
  explicit AlignedVector(int64_t size) : AlignedVector(uninitialized(size)) {
    std::uninitialized_fill_n(data_.get(), size, T{});
  }
  static AlignedVector uninitialized(int64_t size) {
    static_assert(std::is_trivial_v<T>);
    AlignedVector vector;
    vector.data_.reset(static_cast<T*>(::operator new[](static_cast<size_t>(size) * sizeof(T), std::align_val_t{64})));
    vector.size_ = size;
    return vector;
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  int64_t size() const { return size_; }

 private:
  struct Delete {
    void operator()(T* data) const { ::operator delete[](data, std::align_val_t{64}); }
  };
  std::unique_ptr<T, Delete> data_;
  int64_t size_ = 0;
};

}  // namespace amt::engine
