// A prompt on a GPU: the view of its search, and where its rows stand.
#pragma once

#include <cstdint>

#include "feature_entries.h"
#include "feature_track.h"
#include "search_view.h"

namespace amt::cuda {

// Made by the host, read by the kernels.
struct Prompt {
  engine::SearchView search;
  uint8_t* ancestry = nullptr;            // (num_rows, capacity): the slot in which a row finds a position
  midi::FeatureTrack* tracks = nullptr;   // (2, num_rows), of which `bank` counts: of what a row's cache holds
  uint64_t* lists = nullptr;              // (2, num_rows, list_words): of the tracks
  const float* feature_values = nullptr;  // the table of FeatureRules::value
  const midi::FeatureRules* features = nullptr;
  int64_t list_words = 0;
  int32_t num_rows = 0, capacity = 0;
};

// Changed by the kernels.
struct PromptState {
  int32_t num_positions;   // that the cache holds
  int32_t trunk_len;       // before it all rows find the same slot
  int32_t bank;            // of the tracks of features
  int32_t is_running;      // whether this step runs the prompt, and its search gets the logits
  int32_t num_new_tokens;  // of the search
};

// What the host says to a step, and what the last one says to the host.
struct Control {
  int64_t steps_left;   // of a loop
  int32_t is_last;      // every prompt that gets its logits takes its last step
  int32_t num_running;  // prompts that go on
  int32_t num_failed;   // prompts that ended with a failure
};

}  // namespace amt::cuda
