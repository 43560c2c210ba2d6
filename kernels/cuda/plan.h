// What the plan of a step (plan.cu) is called with.
#pragma once

#include <cstdint>

#include "kernels.h"
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
  int32_t* lengths;             // (num_texts, num_prompts): positions of self-attention, 0: the prompt does not run
  int32_t* trunk_lengths;       // the same
  Turns turns_of_rows;
  int32_t num_prompts, num_rows, num_texts, max_entries;
};

int launch_plan(const Plan& call, void* stream);

}  // namespace amt::cuda
