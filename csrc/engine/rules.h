// The rules of one generation, for one row: from the model's scores to the scores that tokens are chosen by. Must equal
// amt/decoding/rules.py without a user's processors.
#pragma once

#include <cstdint>

#include "search_options.h"

namespace amt::engine {

// scores[i]: given[i] after repetition_penalty, no_repeat_ngram_size, min_new_tokens and the grammar, -inf where a
// token is forbidden; maybe all of them. The grammar wins: where the bans leave none of its tokens,
// no_repeat_ngram_size is lifted, then min_new_tokens.
//
// token_ids: (length), the prefix included. step: how many of them are new. allowed: (vocab_size), what the grammar
// allows, or nullptr. given: (vocab_size), logits or in beam search log-probabilities.
// Throws DecodingError where the penalty makes a score infinite.
void apply_rules(const SearchOptions& options, const int32_t* token_ids, int64_t length, int64_t step,
                 const uint8_t* allowed, const float* given, float* scores);

}  // namespace amt::engine
