// One piece of memory for all that is as long as the notes of a file.
//
// Many pieces, when they are freed, make a heap give its end back to the system and ask for it again at the next file,
// which takes as long as a third of the encoding.
#pragma once

#include <cstddef>
#include <memory_resource>
#include <type_traits>

namespace amt::midi {

class Arena {
 public:
  explicit Arena(size_t expected_size) : memory_(expected_size) {}

  // Room for items that nobody has written to, until the arena ends.
  template <typename T>
  T* allocate(size_t num_items) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    return static_cast<T*>(memory_.allocate(num_items * sizeof(T), alignof(T)));
  }

 private:
  std::pmr::monotonic_buffer_resource memory_;
};

}  // namespace amt::midi
