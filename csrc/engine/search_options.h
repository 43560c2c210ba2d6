// What a search is asked for, and what it says when it cannot go on.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace amt::engine {

enum class Mode : int32_t { kGreedy = 0, kSample = 1, kBeams = 2 };
enum class EarlyStopping : int32_t { kFalse = 0, kTrue = 1, kNever = 2 };
enum class FinishReason : int32_t { kRunning = 0, kEos = 1, kLength = 2, kStopped = 3 };

// Their names, as they cross to Python.
constexpr std::array<const char*, 3> names_of(Mode) { return {"greedy", "sample", "beams"}; }
constexpr std::array<const char*, 3> names_of(EarlyStopping) { return {"0", "1", "never"}; }
constexpr std::array<const char*, 4> names_of(FinishReason) { return {"running", "eos", "length", "stopped"}; }

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
  double typical_p = 1.0;
  float repetition_penalty = 1.0f;
  double length_penalty = 1.0;
  float guidance_scale = 1.0f;                                 // counts only where a step gets negative logits
  int32_t forced_bos_token_id = -1, forced_eos_token_id = -1;  // -1: none
  // (vocab_size) of kSuppressed and kBeginSuppressed, or nullptr. Not owned.
  const uint8_t* suppressed = nullptr;
};

// See midi/named_values.h. vocab_size is that of the model, and suppressed is made of the lists of tokens.
template <typename Visitor>
void visit_fields(SearchOptions& options, Visitor& visit) {
  visit("mode", options.mode);
  visit("num_rows", options.num_rows);
  visit("eos_token_id", options.eos_token_id);
  visit("min_new_tokens", options.min_new_tokens);
  visit("no_repeat_ngram_size", options.no_repeat_ngram_size);
  visit("top_k", options.top_k);
  visit("early_stopping", options.early_stopping);
  visit("temperature", options.temperature);
  visit("top_p", options.top_p);
  visit("min_p", options.min_p);
  visit("typical_p", options.typical_p);
  visit("repetition_penalty", options.repetition_penalty);
  visit("length_penalty", options.length_penalty);
  visit("guidance_scale", options.guidance_scale);
  visit("forced_bos_token_id", options.forced_bos_token_id);
  visit("forced_eos_token_id", options.forced_eos_token_id);
}

// (vocab_size) flags as SearchOptions has them, or none. Throws std::invalid_argument for what is no token.
inline std::vector<uint8_t> suppressed_flags(const std::vector<int32_t>& always, const std::vector<int32_t>& at_begin,
                                             int64_t vocab_size) {
  std::vector<uint8_t> flags(always.empty() && at_begin.empty() ? 0 : static_cast<size_t>(vocab_size));
  const auto set = [&](const std::vector<int32_t>& tokens, uint8_t flag) {
    for (const int32_t token : tokens) {
      if (token < 0 || token >= vocab_size) throw std::invalid_argument("a suppressed token is no token");
      flags[static_cast<size_t>(token)] |= flag;
    }
  };
  set(always, kSuppressed);
  set(at_begin, kBeginSuppressed);
  return flags;
}

// No legal token, or NaN logits.
struct DecodingError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace amt::engine
