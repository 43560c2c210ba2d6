// The rules of one generation, for one row: from the model's scores to the scores that tokens are chosen by. Its twin
// is amt/decoding/plain/rules.py, without a user's processors.
#pragma once

#include <cstdint>

#include "search_options.h"
#include "workers.h"

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

// Keskar et al. 2019, arXiv:1909.05858, section 4.1. Reads what it does not write: a token may occur many times.
template <class Workers>
AMT_HD void penalize_repetition(const Workers& workers, const int32_t* token_ids, int64_t length, float penalty,
                                const float* given, float* scores) {
  for (int64_t i = workers.first(); i < length; i += workers.step()) {
    const float score = given[token_ids[i]];
    workers.put(score < 0 ? score * penalty : score / penalty, scores[token_ids[i]]);
  }
}

// Forbids each token that would end an n-gram which the row already contains.
template <class Workers>
AMT_HD void ban_repeated_ngrams(const Workers& workers, const int32_t* token_ids, int64_t length, int64_t ngram_size,
                                float* scores) {
  const int64_t context_len = ngram_size - 1;
  const int32_t* context = token_ids + length - context_len;
  for (int64_t start = workers.first(); start + ngram_size <= length; start += workers.step()) {
    const int32_t* ngram = token_ids + start;
    int64_t num_equal = 0;  // from the last one on: most places fail there
    while (num_equal < context_len && ngram[context_len - 1 - num_equal] == context[context_len - 1 - num_equal]) {
      ++num_equal;
    }
    if (num_equal == context_len) workers.put(-kInfinity, scores[ngram[context_len]]);
  }
}

// Whether the model has read nothing but bos, which is when a first token can be forced.
AMT_HD inline bool has_only_bos(const RuleInput& input) { return input.length - input.step == 1; }

// Which tokens the grammar and the suppressed ones leave: input.allowed, or nullptr for all.
template <class Workers>
AMT_HD const uint8_t* may_come(const Workers& workers, const SearchOptions& options, const RuleInput& input) {
  if (options.suppressed != nullptr) {
    const int64_t begin = has_only_bos(input) && options.forced_bos_token_id >= 0;
    const uint8_t kinds = input.step == begin ? kSuppressed | kBeginSuppressed : kSuppressed;
    for (int64_t id = workers.first(); id < options.vocab_size; id += workers.step()) {
      const bool is_suppressed = options.suppressed[id] & kinds;
      input.allowed[id] = !is_suppressed && (!input.has_grammar || input.allowed[id]);
    }
    workers.wait();
  }
  return input.has_grammar || options.suppressed != nullptr ? input.allowed : nullptr;
}

// The token that must come, or -1; the grammar may forbid it.
AMT_HD inline int32_t forced_token(const SearchOptions& options, const RuleInput& input) {
  int32_t token = input.step == 0 && has_only_bos(input) ? options.forced_bos_token_id : -1;
  if (input.step == input.max_new_tokens - 1 && options.forced_eos_token_id >= 0) token = options.forced_eos_token_id;
  return token >= 0 && input.has_grammar && !input.allowed[token] ? -1 : token;
}

// scores[i]: given[i] after repetition_penalty, no_repeat_ngram_size, min_new_tokens, the grammar, forced and
// suppressed tokens, -inf where a token is forbidden; maybe all of them. The grammar wins: where the bans leave none of
// its tokens, no_repeat_ngram_size is lifted, then min_new_tokens; a forced token that it does not allow is not forced.
//
// given: (vocab_size), logits or in beam search log-probabilities. False where the penalty or guidance makes a score
// infinite or NaN.
template <class Workers>
AMT_APART AMT_HD bool apply_rules(const Workers& workers, const SearchOptions& options, const RuleInput& input,
                                  const float* given, float* scores) {
  const int64_t vocab_size = options.vocab_size;
  const bool is_penalized = options.repetition_penalty != 1.0f;
  const int32_t forced = forced_token(options, input);
  workers.wait();  // `allowed` is written to next
  const uint8_t* allowed = may_come(workers, options, input);
  bool holds_eos = input.step < options.min_new_tokens;
  bool bans_ngrams = options.no_repeat_ngram_size > 0;
  for (bool is_settled = false; !is_settled;) {
    copy(workers, given, vocab_size, scores);
    workers.wait();
    if (is_penalized) {
      penalize_repetition(workers, input.token_ids, input.length, options.repetition_penalty, given, scores);
      workers.wait();
    }
    if (holds_eos && workers.is_first()) workers.put(-kInfinity, scores[options.eos_token_id]);
    if (bans_ngrams) {
      ban_repeated_ngrams(workers, input.token_ids, input.length, options.no_repeat_ngram_size, scores);
    }
    workers.wait();
    if (allowed == nullptr) break;
    for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
      scores[id] = allowed[id] ? scores[id] : -kInfinity;
    }
    // Lift one rule and begin again, if that is what leaves the grammar nothing.
    is_settled = !input.has_grammar || !(holds_eos || bans_ngrams) || row_max(workers, scores, vocab_size) > -kInfinity;
    (bans_ngrams ? bans_ngrams : holds_eos) = false;
  }
  if (forced >= 0) {
    const float forced_score = allowed == nullptr || allowed[forced] ? 0.0f : -kInfinity;
    for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
      scores[id] = id == forced ? forced_score : -kInfinity;
    }
  }
  workers.wait();
  return are_below_infinity(workers, scores, vocab_size);
}

}  // namespace amt::engine
