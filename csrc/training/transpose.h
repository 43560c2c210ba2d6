// Transposes matrices of units of 4 bytes, which are a float32 or two bfloat16 numbers.
#pragma once

#include "lanes.h"

namespace amt::training {
namespace {

using Unit = uint32_t __attribute__((may_alias));

// out[c][r] = in[r][c] for 16 rows and columns.
#if defined(__AVX512F__)
inline void transpose_block(const Unit* in, int64_t in_stride, Unit* out, int64_t out_stride) {
  __m512 rows[16], pairs[16];
  unrolled<16>([&](auto i) { rows[i] = _mm512_loadu_ps(in + i * in_stride); });
  // In each quad of 4 lanes: the columns of 4 rows.
  unrolled<8>([&](auto i) {
    pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
    pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
  });
  unrolled<4>([&](auto i) {
    const auto as_double = [&](int index) { return _mm512_castps_pd(pairs[4 * i + index]); };
    rows[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(as_double(0), as_double(2)));
    rows[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(as_double(0), as_double(2)));
    rows[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(as_double(1), as_double(3)));
    rows[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(as_double(1), as_double(3)));
  });
  // rows[4 i + c]: quad q holds column 4 q + c of rows 4 i .. 4 i + 3. Now the quads are transposed.
  unrolled<4>([&](auto c) {
    const __m512 low01 = _mm512_shuffle_f32x4(rows[c], rows[4 + c], 0x44);
    const __m512 high01 = _mm512_shuffle_f32x4(rows[c], rows[4 + c], 0xee);
    const __m512 low23 = _mm512_shuffle_f32x4(rows[8 + c], rows[12 + c], 0x44);
    const __m512 high23 = _mm512_shuffle_f32x4(rows[8 + c], rows[12 + c], 0xee);
    _mm512_storeu_ps(out + c * out_stride, _mm512_shuffle_f32x4(low01, low23, 0x88));
    _mm512_storeu_ps(out + (4 + c) * out_stride, _mm512_shuffle_f32x4(low01, low23, 0xdd));
    _mm512_storeu_ps(out + (8 + c) * out_stride, _mm512_shuffle_f32x4(high01, high23, 0x88));
    _mm512_storeu_ps(out + (12 + c) * out_stride, _mm512_shuffle_f32x4(high01, high23, 0xdd));
  });
}
#else
inline void transpose_block(const Unit* in, int64_t in_stride, Unit* out, int64_t out_stride) {
  for (int64_t c = 0; c < kLanes; ++c) {
    for (int64_t r = 0; r < kLanes; ++r) out[c * out_stride + r] = in[r * in_stride + c];
  }
}
#endif

// Rows and columns are multiples of 16; strides count units.
inline void transpose(const void* in, int64_t in_stride, int64_t rows, int64_t columns, void* out, int64_t out_stride) {
  const auto* from = static_cast<const Unit*>(in);
  auto* to = static_cast<Unit*>(out);
  for (int64_t r = 0; r < rows; r += kLanes) {
    for (int64_t c = 0; c < columns; c += kLanes) {
      transpose_block(from + r * in_stride + c, in_stride, to + c * out_stride + r, out_stride);
    }
  }
}

}  // namespace
}  // namespace amt::training
