// The rules of one generation, for one row: from the model's scores to the scores that tokens are chosen by. Must equal
// amt/decoding/plain/rules.py without a user's processors.
#pragma once

#include <cstdint>

#include "search_options.h"

namespace amt::engine {

// A row as the rules see it.
struct RuleInput {
  const int32_t* token_ids;  // (length), the prefix included
  int64_t length;
  int64_t step;            // how many are new, those of windows before included
  int64_t max_new_tokens;  // how many may be
  uint8_t* allowed;        // (vocab_size): without a grammar to be written to, with one what it allows
  bool has_grammar;
};

// scores[i]: given[i] after repetition_penalty, no_repeat_ngram_size, min_new_tokens, the grammar, forced and
// suppressed tokens, -inf where a token is forbidden; maybe all of them. The grammar wins: where the bans leave none of
// its tokens, no_repeat_ngram_size is lifted, then min_new_tokens; a forced token that it does not allow is not forced.
//
// given: (vocab_size), logits or in beam search log-probabilities.
// Throws DecodingError where the penalty makes a score infinite.
void apply_rules(const SearchOptions& options, const RuleInput& input, const float* given, float* scores);

}  // namespace amt::engine
