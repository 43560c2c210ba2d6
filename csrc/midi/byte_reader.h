// Big-endian numbers, variable-length quantities and chunk names in bytes that nobody has checked yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace amt::midi {

inline uint32_t read_u16(const uint8_t* bytes) { return (uint32_t{bytes[0]} << 8) | bytes[1]; }

inline uint32_t read_u32(const uint8_t* bytes) { return (read_u16(bytes) << 16) | read_u16(bytes + 2); }

inline uint32_t read_u32_little(const uint8_t* bytes) {
  return (uint32_t{bytes[3]} << 24) | (uint32_t{bytes[2]} << 16) | (uint32_t{bytes[1]} << 8) | bytes[0];
}

// Whether the four characters of `name` stand at `bytes`.
inline bool has_name(const uint8_t* bytes, const uint8_t* end, const char* name) {
  return end - bytes >= 4 && std::memcmp(bytes, name, 4) == 0;
}

// A variable-length quantity and the byte after it; `next` is null if the bytes end first.
struct VarLen {
  int64_t value;
  const uint8_t* next;
};

// Reads as long as the quantity says that it goes on; the standard allows four bytes. Stays at 2^31 - 1 when it passes
// it.
inline VarLen read_var_len(const uint8_t* bytes, const uint8_t* end) {
  constexpr int64_t kMax = INT32_MAX;
  int64_t value = 0;
  for (; bytes < end; ++bytes) {
    value = (value << 7) | (*bytes & 0x7f);
    if (value > kMax) value = kMax;
    if (*bytes < 0x80) return {value, bytes + 1};
  }
  return {value, nullptr};
}

// The next chunk called `name` at or after `bytes`, or `end`.
inline const uint8_t* find_name(const uint8_t* bytes, const uint8_t* end, const char* name) {
  while (end - bytes >= 4) {
    const void* hit = std::memchr(bytes, name[0], static_cast<size_t>(end - bytes - 3));
    if (hit == nullptr) return end;
    bytes = static_cast<const uint8_t*>(hit);
    if (has_name(bytes, end, name)) return bytes;
    ++bytes;
  }
  return end;
}

}  // namespace amt::midi
