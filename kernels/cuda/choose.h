// What the choice of tokens (choose.cu) is called with.
#pragma once

#include <cstdint>

#include "beam_search.h"
#include "prompt.h"

namespace amt::cuda {

struct Choose {
  const Prompt* prompts;
  PromptState* states;
  Control* control;
  const float* logits;        // (num_prompts, num_rows, stride)
  const float* negative;      // the same under the negative texts; null: no guidance
  float* scratch;             // (num_prompts, num_rows, scratch_stride)
  engine::Failure* failures;  // (num_prompts, num_rows)
  uint32_t* arrivals;         // (num_prompts), 0 before and after
  int32_t num_prompts, num_rows, vocab_size, stride, scratch_stride;
};

// Floats of a row's scratch: what the search asks for, and the row's best continuations.
inline int64_t choose_scratch(int64_t vocab_size, int64_t num_rows) {
  const int64_t best_bytes = 2 * num_rows * static_cast<int64_t>(sizeof(engine::Continuation));
  return (4 * vocab_size + best_bytes / 4 + 15) / 16 * 16;
}

int launch_choose(const Choose& call, void* stream);

}  // namespace amt::cuda
