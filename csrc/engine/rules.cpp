// Its twin is amt/decoding/plain/rules.py.
#include "rules.h"

#include <algorithm>
#include <limits>
#include <string>

#include "row_max.h"

namespace amt::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Keskar et al. 2019, arXiv:1909.05858, section 4.1. Reads what it does not write: a token may occur many times.
void penalize_repetition(const int32_t* token_ids, int64_t length, float penalty, const float* given, float* scores) {
  for (int64_t i = 0; i < length; ++i) {
    const float score = given[token_ids[i]];
    scores[token_ids[i]] = score < 0 ? score * penalty : score / penalty;
  }
}

// Forbids each token that would end an n-gram which the row already contains.
void ban_repeated_ngrams(const int32_t* token_ids, int64_t length, int64_t ngram_size, float* scores) {
  const int64_t context_len = ngram_size - 1;
  const int32_t* context = token_ids + length - context_len;
  for (int64_t start = 0; start + ngram_size <= length; ++start) {
    const int32_t* ngram = token_ids + start;
    // The last one first: most places fail there, and sooner than std::equal begins.
    if (context_len > 0 && ngram[context_len - 1] != context[context_len - 1]) continue;
    if (std::equal(ngram, ngram + context_len, context)) scores[ngram[context_len]] = -kInfinity;
  }
}

// Whether the model has read nothing but bos, which is when a first token can be forced.
bool has_only_bos(const RuleInput& input) { return input.length - input.step == 1; }

// Which tokens the grammar and the suppressed ones leave: input.allowed, or nullptr for all.
const uint8_t* may_come(const SearchOptions& options, const RuleInput& input) {
  if (options.suppressed != nullptr) {
    const int64_t begin = has_only_bos(input) && options.forced_bos_token_id >= 0;
    const uint8_t kinds = input.step == begin ? kSuppressed | kBeginSuppressed : kSuppressed;
    for (int64_t id = 0; id < options.vocab_size; ++id) {
      const bool is_suppressed = options.suppressed[id] & kinds;
      input.allowed[id] = !is_suppressed && (!input.has_grammar || input.allowed[id]);
    }
  }
  return input.has_grammar || options.suppressed != nullptr ? input.allowed : nullptr;
}

// The token that must come, or -1; the grammar may forbid it.
int32_t forced_token(const SearchOptions& options, const RuleInput& input) {
  int32_t token = input.step == 0 && has_only_bos(input) ? options.forced_bos_token_id : -1;
  if (input.step == input.max_new_tokens - 1 && options.forced_eos_token_id >= 0) token = options.forced_eos_token_id;
  return token >= 0 && input.has_grammar && !input.allowed[token] ? -1 : token;
}

}  // namespace

void apply_rules(const SearchOptions& options, const RuleInput& input, const float* given, float* scores) {
  const int64_t vocab_size = options.vocab_size;
  const bool is_penalized = options.repetition_penalty != 1.0f;
  const int32_t forced = forced_token(options, input);
  const uint8_t* allowed = may_come(options, input);
  bool holds_eos = input.step < options.min_new_tokens;
  bool bans_ngrams = options.no_repeat_ngram_size > 0;
  for (bool is_settled = false; !is_settled;) {
    std::copy(given, given + vocab_size, scores);
    if (is_penalized) {
      penalize_repetition(input.token_ids, input.length, options.repetition_penalty, given, scores);
    }
    if (holds_eos) scores[options.eos_token_id] = -kInfinity;
    if (bans_ngrams) ban_repeated_ngrams(input.token_ids, input.length, options.no_repeat_ngram_size, scores);
    if (allowed == nullptr) break;
    for (int64_t id = 0; id < vocab_size; ++id) scores[id] = allowed[id] ? scores[id] : -kInfinity;
    // Lift one rule and begin again, if that is what leaves the grammar nothing.
    is_settled = !input.has_grammar || !(holds_eos || bans_ngrams) || row_max(scores, vocab_size) > -kInfinity;
    (bans_ngrams ? bans_ngrams : holds_eos) = false;
  }
  if (forced >= 0) {
    std::fill_n(scores, vocab_size, -kInfinity);
    if (allowed == nullptr || allowed[forced]) scores[forced] = 0;
  }
  int is_all_below = 1;  // NaN is not
  for (int64_t id = 0; id < vocab_size; ++id) is_all_below &= scores[id] < kInfinity;
  if (is_all_below == 0) {
    throw DecodingError("guidance, a penalty or a logits processor gave NaN or infinite scores at step " +
                        std::to_string(input.step));
  }
}

}  // namespace amt::engine
