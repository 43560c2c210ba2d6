// The choice of tokens: a step of the search of each prompt, and its rows follow. What it must equal: `Search::step` of
// csrc/engine/search.h and `Generation::choose` of csrc/engine/generation.cpp, whose functions it calls.
//
// One block for (row, prompt), kBlockThreads threads: rules, guidance, grammar and the filters of sampling, shared over
// the vocabulary; then a row of beams picks its best continuations, the others their token. The last block of a prompt
// to arrive ends the step: rows end, or beams compete, are reordered, and the ancestry follows them.
//
// By one thread alone, in the order of the CPU: the sums of sampling (top_p, min_p, typical_p, the draw), the merge of
// the rows' continuations, the places of finished beams, and a row's grammar and features.
#include "block.cuh"
#include "choose.h"

namespace amt::cuda {

namespace {

constexpr int kMaxRowsOfPrompt = 64;

struct ChooseShared {
  BlockShared block;
  engine::SamplingRoom sampling;
  engine::BeamRoom beams;
  uint8_t columns[kBlockThreads][kMaxRowsOfPrompt];
  int32_t parents[kMaxRowsOfPrompt];
  engine::Failure failure;
  int is_last;
};

// The order of a row's continuations as one number, the best the largest: real ones, the total, the lower token.
__device__ __forceinline__ uint64_t key_of(bool is_real, float total, int64_t token) {
  const float without_sign_of_zero = total + 0.0f;
  uint32_t bits;
  memcpy(&bits, &without_sign_of_zero, sizeof(bits));
  bits = bits >> 31 ? ~bits : bits | 0x80000000u;
  return (is_real ? uint64_t{1} << 63 : 0) | static_cast<uint64_t>(bits) << 31 | (0x7FFFFFFF - token);
}
__device__ __forceinline__ int32_t token_of(uint64_t key) {
  return static_cast<int32_t>(0x7FFFFFFF - (key & 0x7FFFFFFF));
}

// The best continuations of a row, in their order, as many as could be among those of all rows.
__device__ AMT_APART void pick_best(const Block& block, int32_t row, const engine::Beam& beam,
                                    const engine::SearchView::RowScores& made, int32_t vocab_size, int32_t num_rows,
                                    engine::Continuation* best) {
  uint64_t bar = ~uint64_t{0};
  const int32_t num = vocab_size < 2 * num_rows ? vocab_size : 2 * num_rows;
  for (int32_t rank = 0; rank < num; ++rank) {
    uint64_t mine = 0;
    for (int64_t token = block.first(); token < vocab_size; token += block.step()) {
      const float score = made.scores[token];
      const uint64_t key = key_of(beam.is_real && score > -engine::kInfinity, score + beam.score, token);
      if (key < bar && key > mine) mine = key;
    }
    bar = block.largest_key(mine);
    if (block.is_first()) {
      const int32_t token = token_of(bar);
      best[rank] = {made.scores[token] + beam.score, made.log_probs[token], row, token, bar >> 63 != 0, false};
    }
  }
}

// Ancestry, trunk and features of a prompt's rows follow what the search has chosen.
__device__ AMT_APART void follow(const Block& block, const Prompt& prompt, PromptState& state, int32_t num_positions,
                                 ChooseShared& shared) {
  const engine::SearchView& search = prompt.search;
  const int32_t num_rows = prompt.num_rows, capacity = prompt.capacity;
  if (block.is_first()) {
    // A row that does not run follows one that does, so that every row's ancestry stays true.
    int32_t some_parent = 0;
    for (int32_t row = num_rows - 1; row >= 0; --row) {
      shared.parents[row] = search.is_active(row) ? some_parent = search.parent(row) : -1;
    }
    for (int32_t row = 0; row < num_rows; ++row) {
      if (shared.parents[row] < 0) shared.parents[row] = some_parent;
    }
  }
  block.wait();
  const int32_t first = state.trunk_len;
  int32_t end_of_trunk = num_positions;  // the first position of this thread's at which rows differ
  uint8_t* column = shared.columns[threadIdx.x];
  for (int64_t position = first + block.first(); position < num_positions; position += block.step()) {
    bool is_shared = true;
    for (int32_t row = 0; row < num_rows; ++row) column[row] = prompt.ancestry[row * capacity + position];
    for (int32_t row = 0; row < num_rows; ++row) {
      const uint8_t slot = column[shared.parents[row]];
      prompt.ancestry[row * capacity + position] = slot;
      is_shared = is_shared && slot == column[shared.parents[0]];
    }
    if (!is_shared && position < end_of_trunk) end_of_trunk = static_cast<int32_t>(position);
  }
  end_of_trunk = -static_cast<int32_t>(block.max(-static_cast<float>(end_of_trunk)));  // below 2^24: exact
  if (prompt.tracks != nullptr) {
    const midi::FeatureTrack* from = prompt.tracks + state.bank * num_rows;
    const int64_t to = static_cast<int64_t>(1 - state.bank) * num_rows;
    for (int64_t row = block.first(); row < num_rows; row += block.step()) {
      prompt.tracks[to + row] = from[shared.parents[row]];
      prompt.tracks[to + row].move_lists_to(prompt.lists + (to + row) * prompt.list_words, capacity);
    }
  }
  block.wait();
  if (block.is_first()) {
    state.trunk_len = end_of_trunk;
    if (prompt.tracks != nullptr) state.bank = 1 - state.bank;
  }
}

// The second half of a prompt's step, when all rows are there.
__device__ AMT_APART void end_step(const Block& block, const Choose& call, int32_t index, ChooseShared& shared) {
  const Prompt& prompt = call.prompts[index];
  const engine::SearchView& search = prompt.search;
  const int32_t num_rows = call.num_rows;
  const int64_t first_row = static_cast<int64_t>(index) * num_rows;
  const auto num_positions = static_cast<int32_t>(search.length());
  const bool has_beams = search.has_beams();
  if (block.is_first()) {
    shared.failure = engine::Failure::kNone;
    for (int32_t row = num_rows - 1; row >= 0; --row) {
      const engine::Failure failure = call.failures[first_row + row];
      if (failure != engine::Failure::kNone) shared.failure = failure;
    }
    const int32_t num_best = call.vocab_size < 2 * num_rows ? call.vocab_size : 2 * num_rows;
    shared.beams.best.begin(num_rows);
    for (int32_t row = 0; has_beams && shared.failure == engine::Failure::kNone && row < num_rows; ++row) {
      const auto* best = reinterpret_cast<const engine::Continuation*>(
          call.scratch + (first_row + row) * call.scratch_stride + 4 * static_cast<int64_t>(call.vocab_size));
      for (int32_t rank = 0; rank < num_best && shared.beams.best.offer(best[rank]); ++rank) {
      }
    }
  }
  block.wait();
  engine::Failure failure = shared.failure;
  block.wait();
  if (failure == engine::Failure::kNone) {
    if (has_beams) {
      failure = search.end_beams(block, call.control->is_last != 0, shared.beams);
    } else {
      search.end_rows(block, call.control->is_last != 0);
    }
  }
  if (failure != engine::Failure::kNone) {
    if (block.is_first()) search.header().failure = failure;
    return;
  }
  if (!search.is_done() && num_rows > 1) follow(block, prompt, call.states[index], num_positions, shared);
}

__global__ void __launch_bounds__(kBlockThreads, 1) choose_kernel(Choose call) {
  AMT_SHARED(ChooseShared, shared);
  const Block block(shared.block);
  const auto row = static_cast<int32_t>(blockIdx.x), index = static_cast<int32_t>(blockIdx.y);
  const engine::SearchView& search = call.prompts[index].search;
  const bool is_running = call.states[index].is_running != 0;
  const int64_t first_row = static_cast<int64_t>(index) * call.num_rows, place = first_row + row;
  if (is_running) {
    const int64_t source = search.num_new_tokens() == 0 ? first_row : place;  // at first all rows are the same
    const float* logits = call.logits + source * call.stride;
    const float* negative = call.negative == nullptr ? nullptr : call.negative + source * call.stride;
    float* scratch = call.scratch + place * call.scratch_stride;
    engine::Failure failure = engine::Failure::kNone;
    if (search.has_beams()) {
      const auto made = search.score_beam(block, row, logits, negative, Block::LogSumExp(), scratch);
      failure = made.failure;
      if (failure == engine::Failure::kNone) {
        auto* best = reinterpret_cast<engine::Continuation*>(scratch + 4 * static_cast<int64_t>(call.vocab_size));
        pick_best(block, row, search.beam_state().beams[row], made, call.vocab_size, call.num_rows, best);
      }
    } else if (search.runs(row)) {
      failure = search.choose_token(block, row, logits, negative, Block::LogSumExp(), scratch, shared.sampling);
    }
    if (block.is_first()) call.failures[place] = failure;
  }
  if (!is_last_to_arrive(call.arrivals + index, gridDim.x, shared.is_last)) return;
  PromptState& state = call.states[index];
  if (is_running) end_step(block, call, index, shared);
  block.wait();
  if (!block.is_first()) return;
  if (is_running) ++state.num_positions;
  state.num_new_tokens = static_cast<int32_t>(search.num_new_tokens());
  Control& control = *call.control;
  const bool has_failed = search.header().failure != engine::Failure::kNone;
  if (is_running && has_failed) atomicAdd(&control.num_failed, 1);
  if (is_running && (has_failed || search.is_done())) atomicAdd(&control.num_running, -1);
}

}  // namespace

int launch_choose(const Choose& call, void* stream) {
  const dim3 grid(static_cast<unsigned>(call.num_rows), static_cast<unsigned>(call.num_prompts));
  return AMT_LAUNCH(choose_kernel, grid, dim3(kBlockThreads), sizeof(ChooseShared), stream, call);
}

}  // namespace amt::cuda
