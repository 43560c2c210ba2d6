// Rows that ask for an edit: a context with holes, and what fills them. docs/tokens.md, "Edits".
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vocabulary.h"

namespace amt::midi {

// A program, or all, is missing from `start` up to `end`.
struct StepHole {
  static constexpr int kAll = -1;

  int program;
  int64_t start, end;
};

// A row of music as an edit, cut off at end_step (-1: nowhere). Throws std::invalid_argument if the ids are no music
// with a header, or the holes overlap or are too many.
std::vector<int32_t> edit_row(const int32_t* ids, size_t num_ids, std::vector<StepHole> holes, int64_t end_step,
                              const Vocabulary& vocabulary);

}  // namespace amt::midi
