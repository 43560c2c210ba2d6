// What a search is asked for, and what it says when it cannot go on.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace amt::engine {

enum class Mode : int32_t { kGreedy = 0, kSample = 1, kBeams = 2 };
enum class EarlyStopping : int32_t { kFalse = 0, kTrue = 1, kNever = 2 };
enum class FinishReason : int32_t { kRunning = 0, kEos = 1, kLength = 2, kStopped = 3 };

// What a suppressed token may not be: chosen at all; the first new token.
constexpr uint8_t kSuppressed = 1, kBeginSuppressed = 2;

// The options of all prompts of a batch; names and meanings as in amt.GenerationConfig.
struct SearchOptions {
  Mode mode = Mode::kGreedy;
  int32_t num_rows = 1;  // kBeams: num_beams, at most 64; kSample: num_return_sequences; kGreedy: 1
  int32_t vocab_size = 0;
  int32_t eos_token_id = 2;
  int32_t min_new_tokens = 0;
  int32_t no_repeat_ngram_size = 0;
  int32_t top_k = 0;
  EarlyStopping early_stopping = EarlyStopping::kFalse;
  float temperature = 1.0f;
  double top_p = 1.0;  // a double, because what counts is 1 - top_p
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;
  double length_penalty = 1.0;
  float guidance_scale = 1.0f;                                 // counts only where a step gets negative logits
  int32_t forced_bos_token_id = -1, forced_eos_token_id = -1;  // -1: none
  // (vocab_size) of kSuppressed and kBeginSuppressed, or nullptr. Not owned.
  const uint8_t* suppressed = nullptr;
};

// No legal token, or NaN logits.
struct DecodingError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace amt::engine
