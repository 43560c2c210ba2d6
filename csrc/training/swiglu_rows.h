// Some rows of a SwigluCall. They must equal amt/ops/reference/swiglu.py.
#pragma once

#include "lanes.h"

namespace amt::training {
namespace {

inline Vec sigmoid(Vec x) { return set1(1.0f) / (set1(1.0f) + power_of_two(x * set1(-kLog2E))); }

template <class Number>
inline void swiglu_row(const Number* gate, const Number* x, int64_t hidden, Number* output) {
  engine::for_lanes(hidden, [&](int64_t i, int64_t num) {
    const Vec gates = engine::load_some(gate + i, num);
    engine::store_some(output + i, num, gates * sigmoid(gates) * engine::load_some(x + i, num));
  });
}

template <class Number>
inline void swiglu_gradient_row(const Number* grad, const Number* gate, const Number* x, int64_t hidden,
                                Number* grad_gate, Number* grad_x) {
  engine::for_lanes(hidden, [&](int64_t i, int64_t num) {
    const Vec gates = engine::load_some(gate + i, num), grads = engine::load_some(grad + i, num);
    const Vec share = sigmoid(gates), silu = gates * share;
    const Vec slope = share + silu * (set1(1.0f) - share);  // the derivative of silu
    engine::store_some(grad_gate + i, num, grads * engine::load_some(x + i, num) * slope);
    engine::store_some(grad_x + i, num, grads * silu);
  });
}

template <class Number>
inline void swiglu_rows_of(const SwigluCall& call, int64_t first_row, int64_t last_row) {
  const int64_t hidden = call.hidden;
  for (int64_t row = first_row; row < last_row; ++row) {
    const Number* input = static_cast<const Number*>(call.input) + row * 2 * hidden;
    Number* output = static_cast<Number*>(call.output);
    if (call.grad_output == nullptr) {
      swiglu_row(input, input + hidden, hidden, output + row * hidden);
    } else {
      const Number* grad = static_cast<const Number*>(call.grad_output) + row * hidden;
      output += row * 2 * hidden;
      swiglu_gradient_row(grad, input, input + hidden, hidden, output, output + hidden);
    }
  }
}

inline void swiglu_rows(const SwigluCall& call, int64_t first_row, int64_t last_row) {
  if (call.dtype == Dtype::kBfloat16) return swiglu_rows_of<uint16_t>(call, first_row, last_row);
  swiglu_rows_of<float>(call, first_row, last_row);
}

}  // namespace
}  // namespace amt::training
