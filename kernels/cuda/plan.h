// What the plan of a step (plan.cu) is called with.
#pragma once

#include <cstdint>

#include "prompt.h"

namespace amt::cuda {

// Rows are (num_texts, num_prompts, num_rows): with guidance there are two texts, the second the negative one.
struct Plan {
  const Prompt* prompts;
  PromptState* states;
  int32_t* token_ids;           // of each row
  int32_t* row_positions;       // of each row
  midi::FeatureEntry* entries;  // (num_prompts, num_rows, max_entries), to write in; null: no state features
  int32_t* num_entries;         // of each row
  int32_t* columns;             // (rows, max_entries)
  float* values;                // the same
  float* turns;                 // (rows, 2, head_dim); null: nothing turns
  int32_t* lengths;             // (num_texts, num_prompts): positions of self-attention, 0: the prompt does not run
  int32_t* trunk_lengths;       // the same
  const float* cosine;          // tables (max_len, head_dim)
  const float* sine;
  const float* time_frequency;  // of the last pairs, which turn by musical time
  int32_t num_prompts, num_rows, num_texts, max_entries, head_dim, num_timed_pairs;
};

int launch_plan(const Plan& call, void* stream);

}  // namespace amt::cuda
