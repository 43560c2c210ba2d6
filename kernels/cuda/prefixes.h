// The prefixes of a batch as rows of passes: every token of them but the last, whose logits the first step wants. What
// it must equal: `Generation::plan_pass` and `Generation::add_row` of csrc/engine/generation.cpp.
//
// The CPU has the tokens and knows the state features, so it writes the rows; they go to the GPU as one copy a pass.
// With guidance a pass has its rows twice, (num_texts, rows).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "generation_plan.h"
#include "kernels.h"
#include "memory.h"
#include "state_features.h"

namespace amt::cuda {

class Prefixes {
 public:
  static constexpr int64_t kMostRows = 2048;  // of a pass

  // One pass, in the GPU's memory but for the numbers.
  struct Rows {
    const Segment* segments;
    const int64_t* times;
    const int32_t *token_ids, *row_positions, *row_prompts, *num_entries, *columns;
    const float* values;
    float* turns;  // to be written; null: nothing turns
    int32_t num_rows, num_segments, longest_segment;
  };
  using RunPass = std::function<void(const Rows&)>;
  // A prompt's features behind all of its rows, and the lists of the track.
  using KeepTrack = std::function<void(int64_t prompt, midi::FeatureTrack& track, const std::vector<uint64_t>& lists)>;

  Prefixes() = default;
  Prefixes(const engine::GenerationPlan& plan, int64_t num_texts);

  int64_t max_rows() const { return max_rows_; }
  // Takes what rows need of a block. head_dim: 0: nothing turns.
  void take(DeviceBlock& block, int64_t max_entries, int64_t head_dim);
  // Calls run for each pass. layout: null: no features.
  void read(const Stream& stream, const DeviceBlock& block, const midi::FeatureLayout* layout, int64_t capacity,
            const RunPass& run, const KeepTrack& keep);

 private:
  struct Prompt {
    std::vector<int32_t> token_ids;
    int64_t num_bars;
  };
  struct Writer;

  std::vector<Prompt> prompts_;
  int64_t num_texts_ = 1, max_rows_ = 0, max_entries_ = 0, head_dim_ = 0;
  // Where the parts lie: in the block, and from the first on in what is copied.
  struct Places {
    int64_t segments, times, token_ids, row_positions, row_prompts, num_entries, columns, values, end, turns;
  };
  Places places_{};
};

}  // namespace amt::cuda
