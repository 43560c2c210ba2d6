// Its twin is amt/decoding/plain/strategies.py.
#include "search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "philox.h"
#include "row_max.h"
#include "rules.h"
#include "sampling.h"

namespace amt::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

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

// The largest logit; NaN and +inf are errors.
float max_logit(const float* logits, int64_t vocab_size, int64_t step) {
  int is_all_below = 1;  // NaN is not
  for (int64_t id = 0; id < vocab_size; ++id) is_all_below &= logits[id] < kInfinity;
  if (is_all_below == 0) {
    throw DecodingError("the model gave NaN or infinite logits at step " + std::to_string(step) +
                        "; its weights or inputs are damaged");
  }
  return row_max(logits, vocab_size);
}

// log_softmax in float32, in the order of torch's: (logit - max) - log(sum), which stays exact for large logits.
// Returns log(sum) and leaves logit - max in `shifted`; -inf stays -inf, also where it is all there is.
float shift(const float* logits, int64_t vocab_size, float max, const Kernels& kernels, float* shifted) {
  if (max == -kInfinity) {
    std::fill_n(shifted, vocab_size, -kInfinity);
    return 0;
  }
  for (int64_t id = 0; id < vocab_size; ++id) shifted[id] = logits[id] - max;
  return kernels.log_sum_exp(shifted, vocab_size);
}

// log_softmax of logits, into `log_probs`.
void log_softmax(const float* logits, int64_t vocab_size, int64_t step, const Kernels& kernels, float* log_probs) {
  const float log_sum = shift(logits, vocab_size, max_logit(logits, vocab_size, step), kernels, log_probs);
  for (int64_t id = 0; id < vocab_size; ++id) log_probs[id] -= log_sum;
}

}  // namespace

struct Search::Header {
  int64_t prefix_len, length, max_new_tokens;
  uint64_t seed;
  int64_t first_sequence;
  int64_t first_position;  // of the prefix in the whole piece
  int64_t num_before;      // tokens that were written in windows before
  int64_t tokens_left;     // of the whole piece, behind the prefix
  int64_t bank;            // of the running rows
  int64_t num_running;     // rows that have not ended; kBeams: see BeamState
};

struct Search::Row {
  int64_t length;
  FinishReason reason;
};

Search::Layout Search::lay_out(const SearchOptions& options, int64_t max_len, bool has_grammar) {
  static_assert(std::is_trivially_copyable_v<Header> && std::is_trivially_copyable_v<Row> &&
                std::is_trivially_copyable_v<BeamState> && std::is_trivially_copyable_v<midi::GrammarState>);
  const bool has_beams = options.mode == Mode::kBeams;
  const auto num_rows = static_cast<size_t>(options.num_rows);
  const size_t num_banked = (has_beams ? 2 : 1) * num_rows;
  const auto num_tokens = static_cast<size_t>(max_len);
  Layout layout{};
  size_t size = 0;
  auto add = [&size](size_t bytes) {
    const size_t offset = size;
    size += (bytes + 63) / 64 * 64;
    return offset;
  };
  add(sizeof(Header));
  layout.beams = add(has_beams ? sizeof(BeamState) : 0);
  layout.rows = add(has_beams ? 0 : num_rows * sizeof(Row));
  layout.tokens = add(num_banked * num_tokens * sizeof(int32_t));
  layout.log_probs = add(num_banked * num_tokens * sizeof(float));
  layout.finished_tokens = add(has_beams ? num_rows * num_tokens * sizeof(int32_t) : 0);
  layout.finished_log_probs = add(has_beams ? num_rows * num_tokens * sizeof(float) : 0);
  layout.grammar_states = add(has_grammar ? num_banked * sizeof(midi::GrammarState) : 0);
  layout.size = size;
  return layout;
}

size_t Search::bytes(const SearchOptions& options, int64_t max_len, bool has_grammar) {
  check(options, max_len);
  return lay_out(options, max_len, has_grammar).size;
}

Search::Search(const SearchOptions& options, int64_t max_len, const midi::Grammar* grammar, void* memory)
    : options_(options), max_len_(max_len), grammar_(grammar), memory_(static_cast<std::byte*>(memory)) {
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

Search::Row& Search::row_state(int64_t row) const { return at<Row>(layout_.rows)[row]; }

int32_t* Search::tokens(int64_t bank, int64_t row) const {
  return at<int32_t>(layout_.tokens) + (bank * options_.num_rows + row) * max_len_;
}

float* Search::log_probs(int64_t bank, int64_t row) const {
  return at<float>(layout_.log_probs) + (bank * options_.num_rows + row) * max_len_;
}

int32_t* Search::finished_tokens(int64_t slot) const { return at<int32_t>(layout_.finished_tokens) + slot * max_len_; }

float* Search::finished_log_probs(int64_t slot) const {
  return at<float>(layout_.finished_log_probs) + slot * max_len_;
}

midi::GrammarState& Search::grammar_state(int64_t bank, int64_t row) const {
  return at<midi::GrammarState>(layout_.grammar_states)[bank * options_.num_rows + row];
}

int64_t Search::num_new_tokens() const { return header().length - header().prefix_len; }

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
  header() = {
      prefix_len,  prefix_len, max_new_tokens, seed, first_sequence, num_written - prefix_len, before.num_tokens,
      tokens_left, 0,          num_rows};
  if (has_beams()) {
    beam_state().is_done = false;
  } else {
    std::fill_n(&row_state(0), num_rows, Row{prefix_len, FinishReason::kRunning});
  }
}

void Search::step(const float* logits, const float* negative, int64_t stride, const Kernels& kernels, float* scratch,
                  bool is_last) {
  if (is_done()) return;
  if (num_new_tokens() == 0) stride = 0;
  if (has_beams()) {
    step_beams(logits, negative, stride, kernels, scratch, is_last);
  } else {
    step_rows(logits, negative, stride, kernels, scratch, is_last);
  }
}

float* Search::legal_scores(int64_t row, const float* given, float* scratch) const {
  const Header& now = header();
  const int64_t vocab_size = options_.vocab_size, step = num_new_tokens();
  float* scores = scratch + 2 * vocab_size;
  auto* allowed = reinterpret_cast<uint8_t*>(scratch + 3 * vocab_size);
  if (grammar_ != nullptr) grammar_state(now.bank, row).allowed(allowed, now.tokens_left - step);
  const int64_t max_new_tokens = now.num_before + now.tokens_left;
  apply_rules(options_,
              {tokens(now.bank, row), now.length, now.num_before + step, max_new_tokens, allowed, grammar_ != nullptr},
              given, scores);
  return scores;
}

const float* Search::guided(const float* log_probs, const float* negative, const Kernels& kernels,
                            float* scratch) const {
  const int64_t vocab_size = options_.vocab_size;
  float* scores = scratch + vocab_size;
  log_softmax(negative, vocab_size, num_new_tokens(), kernels, scores);
  for (int64_t id = 0; id < vocab_size; ++id) {
    const float own = log_probs[id], other = scores[id];
    const bool is_guided = own > -kInfinity && other > -kInfinity;
    scores[id] = is_guided ? other + options_.guidance_scale * (own - other) : own;
  }
  return scores;
}

// Greedy search and sampling: every row goes on by itself.
void Search::step_rows(const float* logits, const float* negative, int64_t stride, const Kernels& kernels,
                       float* scratch, bool is_last) {
  Header& now = header();
  const int64_t vocab_size = options_.vocab_size, step = num_new_tokens();
  // What is written behind the end of a row counts only when all rows have chosen.
  for (int64_t row = 0; row < options_.num_rows; ++row) {
    if (row_state(row).reason != FinishReason::kRunning) continue;
    const float* row_logits = logits + row * stride;
    const float max = max_logit(row_logits, vocab_size, step);
    const float* given = row_logits;
    if (negative != nullptr) {
      log_softmax(row_logits, vocab_size, step, kernels, scratch);
      given = guided(scratch, negative + row * stride, kernels, scratch);
    }
    float* scores = legal_scores(row, given, scratch);
    const float best_score = row_max(scores, vocab_size);
    if (best_score == -kInfinity) {
      throw DecodingError("no token is legal at step " + std::to_string(step) +
                          ": loosen the rules or the constraints");
    }
    int32_t token;
    if (options_.mode == Mode::kGreedy) {
      token = static_cast<int32_t>(std::find(scores, scores + vocab_size, best_score) - scores);  // the first of equals
    } else {
      filter_scores(options_, scores, scratch);
      const double draw = uniform(now.seed, static_cast<uint32_t>(now.first_position + now.length),
                                  static_cast<uint32_t>(now.first_sequence + row));
      token = choose(scores, vocab_size, draw, reinterpret_cast<double*>(scratch));
    }
    const float log_sum = shift(row_logits, vocab_size, max, kernels, scratch);
    tokens(0, row)[now.length] = token;
    const float logit = row_logits[token];  // a forced token's may be -inf, and max with it
    log_probs(0, row)[step] = logit == -kInfinity ? logit : (logit - max) - log_sum;
  }
  ++now.length;
  for (int64_t row = 0; row < options_.num_rows; ++row) {
    Row& state = row_state(row);
    if (state.reason != FinishReason::kRunning) continue;
    state.length = now.length;
    const int32_t token = tokens(0, row)[now.length - 1];
    if (grammar_ != nullptr) grammar_state(0, row).advance(token);
    if (token == options_.eos_token_id) {
      state.reason = FinishReason::kEos;
    } else if (num_new_tokens() >= now.max_new_tokens) {
      state.reason = FinishReason::kLength;
    } else if (is_last) {
      state.reason = FinishReason::kStopped;
    }
    if (state.reason != FinishReason::kRunning) --now.num_running;
  }
}

void Search::step_beams(const float* logits, const float* negative, int64_t stride, const Kernels& kernels,
                        float* scratch, bool is_last) {
  Header& now = header();
  BeamState& state = beam_state();
  const int64_t num_beams = options_.num_rows, vocab_size = options_.vocab_size, step = num_new_tokens();
  float* own_log_probs = scratch;
  const float* scores = nullptr;
  BestContinuations best(num_beams);
  for (int32_t row = 0; row < num_beams; ++row) {
    const Beam& beam = state.beams[row];
    if (step > 0 && grammar_ != nullptr && !beam.is_real) {
      // A placeholder has no grammar state, so no token is legal for it, and the model has not run it.
      std::fill_n(own_log_probs, vocab_size, -kInfinity);
      scores = own_log_probs;
    } else if (step > 0 || row == 0) {  // at first all rows are the same
      log_softmax(logits + row * stride, vocab_size, step, kernels, own_log_probs);
      const float* given = own_log_probs;
      if (negative != nullptr) given = guided(own_log_probs, negative + row * stride, kernels, scratch);
      scores = legal_scores(row, given, scratch);
    }
    best.offer(row, beam, scores, own_log_probs, vocab_size);
  }
  const Finishes finishes = advance_beams(options_, now.max_new_tokens, step + 1, is_last, best, state);
  keep_finished(finishes, best);
  if (!state.is_done) reorder();
  ++now.length;
  if (state.is_done && num_results() == 0) {
    throw DecodingError("no beam has a legal token at step " + std::to_string(step) + ", and none has ended before");
  }
}

// Copies the hypotheses that have just taken a place out of the running rows.
void Search::keep_finished(const Finishes& finishes, BestContinuations& best) {
  const Header& now = header();
  for (int64_t i = 0; i < finishes.size; ++i) {
    const auto [slot, rank] = finishes.items[i];
    const Continuation& ended = best[rank];
    *std::copy_n(tokens(now.bank, ended.beam), now.length, finished_tokens(slot)) = ended.token;
    *std::copy_n(log_probs(now.bank, ended.beam), num_new_tokens(), finished_log_probs(slot)) = ended.log_prob;
  }
}

// Rows follow their beams into the other bank.
void Search::reorder() {
  Header& now = header();
  const int64_t bank = 1 - now.bank;
  for (int64_t row = 0; row < options_.num_rows; ++row) {
    Beam& beam = beam_state().beams[row];
    if (num_new_tokens() == 0) beam.parent = 0;  // at first all rows are the same, and the model has run one
    *std::copy_n(tokens(now.bank, beam.parent), now.length, tokens(bank, row)) = beam.token;
    *std::copy_n(log_probs(now.bank, beam.parent), num_new_tokens(), log_probs(bank, row)) = beam.log_prob;
    if (grammar_ != nullptr && beam.is_real) {
      grammar_state(bank, row) = grammar_state(now.bank, beam.parent);
      grammar_state(bank, row).advance(beam.token);
    }
  }
  now.bank = bank;
}

bool Search::is_done() const { return has_beams() ? beam_state().is_done : header().num_running == 0; }

int64_t Search::length() const { return header().length; }

bool Search::is_active(int64_t row) const {
  if (is_done()) return false;
  if (num_new_tokens() == 0) return row == 0;
  if (has_beams()) return grammar_ == nullptr || beam_state().beams[row].is_real;
  return row_state(row).reason == FinishReason::kRunning;
}

int32_t Search::last_token(int64_t row) const { return tokens(header().bank, row)[header().length - 1]; }

int32_t Search::parent(int64_t row) const {
  if (has_beams()) return beam_state().beams[row].parent;
  return num_new_tokens() <= 1 ? 0 : static_cast<int32_t>(row);
}

int64_t Search::num_results() const {
  if (!has_beams()) return options_.num_rows;
  const auto first = beam_state().places.begin();
  return std::count_if(first, first + options_.num_rows, [](const Place& place) { return place.is_real; });
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
