// One prompt's search: greedy, sampling or beams over its rows. It chooses tokens from logits and knows nothing of
// models or kernels' insides. All its memory is one block that the caller gives, so it can be copied, kept and resumed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "grammar.h"
#include "kernels.h"
#include "search_options.h"
#include "search_view.h"

namespace amt::engine {

// What has come of a piece before the prefix of its search: a piece longer than a model reads is written in windows,
// and a window's prefix is its last bars only. amt/generation/long.py
struct Before {
  std::vector<int32_t> history;  // the whole piece up to the first new token; empty: the prefix is that
  int64_t num_tokens = 0;        // of it, that were written in windows before
  int64_t tokens_left = 0;       // of the whole piece from then on; 0: those of this search
};

// A view of a search over its block of memory; copying the view copies nothing.
class Search : public SearchView {
 public:
  // The block's size for sequences of at most max_len tokens, prefix included; a multiple of 64. has_grammar: whether a
  // grammar state for each row lies in it. Throws std::invalid_argument for options that no search can have.
  static size_t bytes(const SearchOptions& options, int64_t max_len, bool has_grammar);

  // memory: 64-byte aligned, of that size. grammar: nullptr, or what the states in the block belong to (they are bound
  // to it here, so that the block may have moved).
  Search(const SearchOptions& options, int64_t max_len, const midi::Grammar* grammar, void* memory);

  // Begins: prefix (bos first), at most max_new_tokens more (prefix_len + max_new_tokens <= max_len). With a grammar,
  // the prefix is taken by it; throws std::invalid_argument with the position if it is not legal. A search that could
  // not begin is done and has nothing in it.
  // first_sequence: the number of row 0 among the prompt's samples, for the random numbers.
  // before: with a history the grammar takes that and not the prefix, and random numbers go by its positions; the rules
  // count from where the piece began.
  void begin(const int32_t* prefix, int64_t prefix_len, int64_t max_new_tokens, uint64_t seed,
             int64_t first_sequence = 0, const Before& before = {});

  // Takes the logits (row r at logits + r * stride; rows that are not active are not read) and chooses the next tokens.
  // negative: nullptr, or what the model says of the same rows under the negative text, laid out alike: guidance leads
  // away from it. scratch: vocab_size * 4 floats, however many rows; 64-byte aligned. On the first step only row 0's
  // logits are read, and they serve all rows. Does nothing once the search is done.
  // is_last: whatever has not ended is stopped by this step; beams that still run become results then.
  // Throws DecodingError with the step; what was chosen before stays readable.
  void step(const float* logits, const float* negative, int64_t stride, const Kernels& kernels, float* scratch,
            bool is_last = false);

  // What of a step went wrong on a GPU, as what `step` throws.
  [[noreturn]] void throw_failure(Failure failure, int64_t step) const;

  // What there is to return, num_results() of it, the best first: kBeams: the finished hypotheses; else num_rows.
  // May be read while running (kGreedy, kSample: what there is so far; kBeams: those that have finished).
  int64_t result_length(int64_t index) const;  // prefix included
  const int32_t* result_tokens(int64_t index) const;
  const float* result_log_probs(int64_t index) const;  // of the new tokens
  double result_score(int64_t index) const;
  FinishReason result_reason(int64_t index) const;

 private:
  Failure step_rows(const float* logits, const float* negative, int64_t stride, const Kernels& kernels, float* scratch,
                    bool is_last);
  Failure step_beams(const float* logits, const float* negative, int64_t stride, const Kernels& kernels, float* scratch,
                     bool is_last);

  const midi::Grammar* grammar_;
};

}  // namespace amt::engine
