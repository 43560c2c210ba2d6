// Its twin is amt/decoding/plain/strategies.py.
#include "search.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>

namespace amt::engine {
namespace {

void require(bool is_true, const std::string& message) {
  if (!is_true) throw std::invalid_argument(message);
}

// NaN fails.
template <typename Number>
void check_range(const char* name, Number value, double low, double high) {
  if (value >= static_cast<Number>(low) && value <= static_cast<Number>(high)) return;
  throw std::invalid_argument(std::string(name) + " must be between " + std::to_string(low) + " and " +
                              std::to_string(high) + ", got " + std::to_string(value));
}

// The ranges of GenerationConfig in amt/request/options.py: with others scores are no numbers.
void check(const SearchOptions& options, int64_t max_len) {
  constexpr double kMostTokens = 1 << 20;
  const int64_t most_rows = options.mode == Mode::kBeams    ? kMaxBeams
                            : options.mode == Mode::kSample ? int64_t{1} << 16
                                                            : 1;
  check_range("num_rows", options.num_rows, 1, static_cast<double>(most_rows));
  check_range("vocab_size", options.vocab_size, 2, kMostTokens);
  check_range("eos_token_id", options.eos_token_id, 0, options.vocab_size - 1);
  check_range("forced_bos_token_id", options.forced_bos_token_id, -1, options.vocab_size - 1);
  check_range("forced_eos_token_id", options.forced_eos_token_id, -1, options.vocab_size - 1);
  check_range("min_new_tokens", options.min_new_tokens, 0, kMostTokens);
  check_range("no_repeat_ngram_size", options.no_repeat_ngram_size, 0, 1 << 16);
  check_range("top_k", options.top_k, 0, kMostTokens);
  check_range("temperature", options.temperature, 1e-4, 1e4);
  check_range("top_p", options.top_p, 1e-6, 1);
  check_range("min_p", options.min_p, 0, 1);
  check_range("typical_p", options.typical_p, 1e-6, 1);
  check_range("repetition_penalty", options.repetition_penalty, 1e-3, 1e3);
  check_range("length_penalty", options.length_penalty, -100, 100);
  check_range("guidance_scale", options.guidance_scale, 0, 100);
  check_range("max_len", max_len, 2, kMostTokens);
}

// log(sum(exp(x))) by the kernel of a CPU.
struct LogSumExp {
  const Kernels& kernels;
  float operator()(Alone, const float* x, int64_t num) const { return kernels.log_sum_exp(x, num); }
};

// What a failure is in words. step: of the search, for kDamagedScores with those of windows before.
std::string message_of(Failure failure, int64_t step) {
  const std::string at_step = " at step " + std::to_string(step);
  switch (failure) {
    case Failure::kNone:
      break;
    case Failure::kDamagedLogits:
      return "the model gave NaN or infinite logits" + at_step + "; its weights or inputs are damaged";
    case Failure::kDamagedScores:
      return "guidance, a penalty or a logits processor gave NaN or infinite scores" + at_step;
    case Failure::kTemperature:
      return "scores divided by the temperature are infinite; raise temperature";
    case Failure::kNoToken:
      return "no token is legal" + at_step + ": loosen the rules or the constraints";
    case Failure::kNoDraw:
      return "no token can be drawn: the scores are no finite numbers";
    case Failure::kNoBeam:
      return "no beam has a legal token" + at_step + ", and none has ended before";
  }
  return "";
}

}  // namespace

size_t Search::bytes(const SearchOptions& options, int64_t max_len, bool has_grammar) {
  check(options, max_len);
  return lay_out(options, max_len, has_grammar).size;
}

Search::Search(const SearchOptions& options, int64_t max_len, const midi::Grammar* grammar, void* memory)
    : SearchView(options, max_len, grammar != nullptr, {}, memory), grammar_(grammar) {
  check(options, max_len);
  layout_ = lay_out(options, max_len, grammar != nullptr);
  if (grammar == nullptr) return;
  require(grammar->vocabulary().size() == options.vocab_size,
          "the grammar knows " + std::to_string(grammar->vocabulary().size()) + " tokens, the model has " +
              std::to_string(options.vocab_size));
  for (int64_t bank = 0; bank < num_banks(); ++bank) {
    for (int64_t row = 0; row < options.num_rows; ++row) grammar_state(bank, row).bind(*grammar);
  }
}

void Search::begin(const int32_t* prefix, int64_t prefix_len, int64_t max_new_tokens, uint64_t seed,
                   int64_t first_sequence, const Before& before) {
  const int64_t num_rows = options_.num_rows;
  // Until everything is checked the search is done, with nothing in it.
  header() = {};
  if (has_beams()) {
    begin_beams(num_rows, beam_state());
    beam_state().is_done = true;
  } else {
    std::fill_n(&row_state(0), num_rows, Row{0, FinishReason::kLength});
  }
  require(prefix_len >= 1, "the prefix is empty; it begins with bos");
  require(max_new_tokens >= 1, "max_new_tokens must be at least 1, got " + std::to_string(max_new_tokens));
  require(max_new_tokens <= max_len_ && prefix_len <= max_len_ - max_new_tokens,
          "prefix and new tokens may be " + std::to_string(max_len_) + " together, got " + std::to_string(prefix_len) +
              " + " + std::to_string(max_new_tokens));
  for (int64_t i = 0; i < prefix_len; ++i) {
    require(prefix[i] >= 0 && prefix[i] < options_.vocab_size,
            "the prefix has token " + std::to_string(prefix[i]) + " at position " + std::to_string(i) +
                "; ids are 0 to " + std::to_string(options_.vocab_size - 1));
  }
  const int64_t tokens_left = before.tokens_left == 0 ? max_new_tokens : before.tokens_left;
  require(tokens_left >= max_new_tokens, "tokens_left is below max_new_tokens");
  const bool has_history = !before.history.empty();
  const int32_t* written = has_history ? before.history.data() : prefix;
  const int64_t num_written = has_history ? static_cast<int64_t>(before.history.size()) : prefix_len;
  require(before.num_tokens >= 0, "the number of tokens before is below 0");
  if (has_beams()) {
    const double penalty = std::pow(static_cast<double>(max_new_tokens), options_.length_penalty);
    require(penalty >= 1e-30 && penalty <= 1e30, "length_penalty " + std::to_string(options_.length_penalty) +
                                                     " overflows float32 over " + std::to_string(max_new_tokens) +
                                                     " tokens; move it towards 0");
  }
  if (grammar_ != nullptr) {
    midi::GrammarState state(*grammar_);
    for (int64_t i = 0; i < num_written; ++i) {
      try {
        state.advance(written[i]);
      } catch (const std::invalid_argument& error) {
        throw std::invalid_argument("the prefix breaks the grammar at position " + std::to_string(i) + ": " +
                                    error.what());
      }
    }
    std::uninitialized_fill_n(&grammar_state(0, 0), num_banks() * num_rows, state);
  }
  for (int64_t row = 0; row < num_rows; ++row) std::copy_n(prefix, prefix_len, tokens(0, row));
  header() = {prefix_len,
              prefix_len,
              max_new_tokens,
              seed,
              first_sequence,
              num_written - prefix_len,
              before.num_tokens,
              tokens_left,
              0,
              num_rows,
              Failure::kNone};
  if (has_beams()) {
    // In double, and then divided by in float32.
    for (int64_t num = 1; num <= max_new_tokens; ++num) {
      penalties()[num] = static_cast<float>(std::pow(static_cast<double>(num), options_.length_penalty));
    }
    beam_state().is_done = false;
  } else {
    std::fill_n(&row_state(0), num_rows, Row{prefix_len, FinishReason::kRunning});
  }
}

void Search::step(const float* logits, const float* negative, int64_t stride, const Kernels& kernels, float* scratch,
                  bool is_last) {
  if (is_done()) return;
  const int64_t step = num_new_tokens();
  if (step == 0) stride = 0;
  const Failure failure = has_beams() ? step_beams(logits, negative, stride, kernels, scratch, is_last)
                                      : step_rows(logits, negative, stride, kernels, scratch, is_last);
  if (failure != Failure::kNone) throw_failure(failure, step);
}

void Search::throw_failure(Failure failure, int64_t step) const {
  throw DecodingError(message_of(failure, failure == Failure::kDamagedScores ? header().num_before + step : step));
}

// Greedy search and sampling: every row goes on by itself.
Failure Search::step_rows(const float* logits, const float* negative, int64_t stride, const Kernels& kernels,
                          float* scratch, bool is_last) {
  SamplingRoom room;
  for (int64_t row = 0; row < options_.num_rows; ++row) {
    if (row_state(row).reason != FinishReason::kRunning) continue;
    const float* row_negative = negative == nullptr ? nullptr : negative + row * stride;
    const Failure failure =
        choose_token(Alone(), row, logits + row * stride, row_negative, LogSumExp{kernels}, scratch, room);
    if (failure != Failure::kNone) return failure;
  }
  end_rows(Alone(), is_last);
  return Failure::kNone;
}

Failure Search::step_beams(const float* logits, const float* negative, int64_t stride, const Kernels& kernels,
                           float* scratch, bool is_last) {
  BeamRoom room;
  RowScores made{};
  room.best.begin(options_.num_rows);
  for (int32_t row = 0; row < options_.num_rows; ++row) {
    if (num_new_tokens() > 0 || row == 0) {  // at first all rows are the same
      const float* row_negative = negative == nullptr ? nullptr : negative + row * stride;
      made = score_beam(Alone(), row, logits + row * stride, row_negative, LogSumExp{kernels}, scratch);
      if (made.failure != Failure::kNone) return made.failure;
    }
    room.best.offer(row, beam_state().beams[row], made.scores, made.log_probs, options_.vocab_size);
  }
  return end_beams(Alone(), is_last, room);
}

int64_t Search::result_length(int64_t index) const {
  if (!has_beams()) return row_state(index).length;
  return header().prefix_len + beam_state().places[index].length;
}

const int32_t* Search::result_tokens(int64_t index) const {
  return has_beams() ? finished_tokens(beam_state().places[index].slot) : tokens(0, index);
}

const float* Search::result_log_probs(int64_t index) const {
  return has_beams() ? finished_log_probs(beam_state().places[index].slot) : log_probs(0, index);
}

double Search::result_score(int64_t index) const {
  if (has_beams()) return beam_state().places[index].score;
  const float* first = log_probs(0, index);
  const int64_t num_tokens = row_state(index).length - header().prefix_len;
  double sum = 0;
  for (int64_t i = 0; i < num_tokens; ++i) sum += first[i];
  return sum;
}

FinishReason Search::result_reason(int64_t index) const {
  return has_beams() ? beam_state().places[index].reason : row_state(index).reason;
}

}  // namespace amt::engine
