// What a step runs: the last token of each prompt's prefix, or the last tokens of its rows; where they stand, what
// state features say of them, and how far they turn. What it must equal: `Generation::plan_pass` of
// csrc/engine/generation.cpp and `Decoder::turn_by_time` of csrc/engine/decoder.cpp.
//
// One block for each prompt, a thread for each row.
#include "device.cuh"
#include "plan.h"
#include "turn.cuh"

namespace amt::cuda {

namespace {

constexpr int kPlanThreads = 64;

__global__ void __launch_bounds__(kPlanThreads, 1) plan_kernel(Plan call) {
  const int index = static_cast<int>(blockIdx.x), row = static_cast<int>(threadIdx.x);
  const Prompt& prompt = call.prompts[index];
  const engine::SearchView& search = prompt.search;
  PromptState& state = call.states[index];
  const engine::SearchView::Header& header = search.header();
  const bool is_running = !search.is_done() && header.failure == engine::Failure::kNone;
  const bool reads = state.num_positions < header.prefix_len;
  const auto position = static_cast<int32_t>(reads ? state.num_positions : search.length() - 1);
  if (row < call.num_rows) {
    const bool is_active = is_running && (reads ? row == 0 : search.is_active(row));
    const int32_t token = !is_active ? 0 : reads ? search.token_of_prefix(position) : search.last_token(row);
    if (is_active && !reads) prompt.ancestry[row * prompt.capacity + position] = static_cast<uint8_t>(row);
    midi::FeatureTrack* features =
        is_active && prompt.tracks != nullptr ? prompt.tracks + state.bank * call.num_rows + row : nullptr;
    int32_t num_entries = 0;
    midi::FeatureEntry* entries = nullptr;
    if (features != nullptr) {
      entries = call.entries + (static_cast<int64_t>(index) * call.num_rows + row) * call.max_entries;
      features->advance(token);
      num_entries = static_cast<int32_t>(features->write(entries) - entries);
    }
    for (int text = 0; text < call.num_texts; ++text) {
      const int64_t place = (static_cast<int64_t>(text) * call.num_prompts + index) * call.num_rows + row;
      call.token_ids[place] = token;
      call.row_positions[place] = is_running ? position : 0;
      if (call.entries != nullptr) call.num_entries[place] = num_entries;
      for (int32_t entry = 0; entry < num_entries; ++entry) {
        call.columns[place * call.max_entries + entry] = entries[entry].column;
        call.values[place * call.max_entries + entry] = prompt.features->value(entries[entry], prompt.feature_values);
      }
      if (call.turns_of_rows.turns != nullptr) {
        turn(call.turns_of_rows, place, is_running ? position : 0, features == nullptr ? 0 : features->now());
      }
    }
  }
  __syncthreads();  // all have read the state
  if (row != 0) return;
  for (int text = 0; text < call.num_texts; ++text) {
    call.lengths[text * call.num_prompts + index] = is_running ? position + 1 : 0;
    call.trunk_lengths[text * call.num_prompts + index] = state.trunk_len;
  }
  state.is_running = is_running ? 1 : 0;
}

}  // namespace

int launch_plan(const Plan& call, void* stream) {
  const dim3 grid(static_cast<unsigned>(call.num_prompts));
  return AMT_LAUNCH(plan_kernel, grid, dim3(kPlanThreads), 0, stream, call);
}

}  // namespace amt::cuda
