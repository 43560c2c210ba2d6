// The block of memory of one prompt's search, and what a step does with it. It runs on a CPU by one thread (search.h)
// and on a GPU by blocks of threads (kernels/cuda/choose.cu): see workers.h. Its twin is
// amt/decoding/plain/strategies.py.
//
// A step has two halves. First each row by itself: kGreedy and kSample choose its token, kBeams makes its scores. Then,
// when all rows are there, the prompt: rows end, or beams compete. Nothing of the first half is seen if a row fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "beam_search.h"
#include "grammar.h"
#include "philox.h"
#include "rules.h"
#include "sampling.h"
#include "search_options.h"
#include "workers.h"

namespace amt::engine {

// What can go wrong in a step.
enum class Failure : int32_t { kNone, kDamagedLogits, kDamagedScores, kTemperature, kNoToken, kNoDraw, kNoBeam };

AMT_APART AMT_HD inline bool take_token(midi::GrammarState& state, int32_t token) { return state.take(token); }

// Which tokens a grammar allows, into mask (vocab_size).
template <class Workers>
AMT_APART AMT_HD void allowed_tokens(const Workers& workers, const midi::GrammarState& state, int64_t remaining,
                                     int64_t vocab_size, uint8_t* mask) {
  if constexpr (Workers::kIsAlone) {
    state.allowed(mask, remaining);
  } else {  // each worker judges its own tokens, and those that are nearest to the aim stay
    const midi::GrammarState::Aim aim = state.aim(remaining);
    float nearest = midi::GrammarState::kForbidden;
    for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
      mask[id] = state.distance(static_cast<int>(id), aim);
      nearest = mask[id] < nearest ? mask[id] : nearest;
    }
    nearest = -workers.max(-nearest);
    for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
      mask[id] = mask[id] < midi::GrammarState::kForbidden && mask[id] <= nearest;
    }
    workers.wait();
  }
}

class SearchView {
 public:
  struct Header {
    int64_t prefix_len, length, max_new_tokens;
    uint64_t seed;
    int64_t first_sequence;
    int64_t first_position;  // of the prefix in the whole piece
    int64_t num_before;      // tokens that were written in windows before
    int64_t tokens_left;     // of the whole piece, behind the prefix
    int64_t bank;            // of the running rows
    int64_t num_running;     // rows that have not ended; kBeams: see BeamState
    Failure failure;         // on a GPU: why it stopped
  };

  // A row of kGreedy or kSample.
  struct Row {
    int64_t length;
    FinishReason reason;
  };

  // Where things lie in the block, in bytes.
  struct Layout {
    size_t beams, penalties, rows, tokens, log_probs, finished_tokens, finished_log_probs, grammar_states, size;
  };
  static Layout lay_out(const SearchOptions& options, int64_t max_len, bool has_grammar) {
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
    layout.penalties = add(has_beams ? (num_tokens + 1) * sizeof(float) : 0);
    layout.rows = add(has_beams ? 0 : num_rows * sizeof(Row));
    layout.tokens = add(num_banked * num_tokens * sizeof(int32_t));
    layout.log_probs = add(num_banked * num_tokens * sizeof(float));
    layout.finished_tokens = add(has_beams ? num_rows * num_tokens * sizeof(int32_t) : 0);
    layout.finished_log_probs = add(has_beams ? num_rows * num_tokens * sizeof(float) : 0);
    layout.grammar_states = add(has_grammar ? num_banked * sizeof(midi::GrammarState) : 0);
    layout.size = size;
    return layout;
  }

  // A view of what lies there already, of states that are bound; nothing is checked.
  AMT_HD SearchView(const SearchOptions& options, int64_t max_len, bool has_grammar, const Layout& layout, void* memory)
      : options_(options),
        max_len_(max_len),
        has_grammar_(has_grammar),
        memory_(static_cast<std::byte*>(memory)),
        layout_(layout) {}

  AMT_HD bool is_done() const { return has_beams() ? beam_state().is_done : header().num_running == 0; }
  AMT_HD int64_t length() const { return header().length; }  // tokens of every active row, prefix included
  // Whether the model must run the row in the next step. Before the first step that is row 0 alone; in beam search
  // without a grammar it is every row, because what a placeholder does is part of the meaning.
  AMT_HD bool is_active(int64_t row) const {
    if (is_done()) return false;
    if (num_new_tokens() == 0) return row == 0;
    if (has_beams()) return !has_grammar_ || beam_state().beams[row].is_real;
    return row_state(row).reason == FinishReason::kRunning;
  }
  // Of an active row: the token to run.
  AMT_HD int32_t last_token(int64_t row) const { return tokens(header().bank, row)[header().length - 1]; }
  // Before the first step: what the model reads at a position.
  AMT_HD int32_t token_of_prefix(int64_t position) const { return tokens(0, 0)[position]; }
  // Of an active row: the row of the step before that it continues. Behind the first step that is 0 for all.
  AMT_HD int32_t parent(int64_t row) const {
    if (has_beams()) return beam_state().beams[row].parent;
    return num_new_tokens() <= 1 ? 0 : static_cast<int32_t>(row);
  }
  AMT_HD int64_t num_new_tokens() const { return header().length - header().prefix_len; }
  AMT_HD bool has_beams() const { return options_.mode == Mode::kBeams; }
  AMT_HD Header& header() const { return *at<Header>(0); }
  AMT_HD BeamState& beam_state() const { return *at<BeamState>(layout_.beams); }
  AMT_HD midi::GrammarState& grammar_state(int64_t bank, int64_t row) const {
    return at<midi::GrammarState>(layout_.grammar_states)[bank * options_.num_rows + row];
  }
  // Beams are reordered from one of two banks into the other; otherwise there is one.
  AMT_HD int64_t num_banks() const { return has_beams() ? 2 : 1; }
  // kGreedy, kSample: whether a row has not ended.
  AMT_HD bool runs(int64_t row) const { return row_state(row).reason == FinishReason::kRunning; }
  // How many results there are, the best first: kBeams: the finished hypotheses; else num_rows.
  AMT_HD int64_t num_results() const {
    if (!has_beams()) return options_.num_rows;
    int64_t num = 0;
    for (int64_t i = 0; i < options_.num_rows; ++i) num += beam_state().places[i].is_real;
    return num;
  }

  // The first half of a step, of kGreedy and kSample: chooses the token of a row that runs. log_sum_exp(workers, x,
  // num): of numbers that are at most 0, one of them 0. scratch: vocab_size * 4 floats; 64-byte aligned.
  template <class Workers, class LogSumExp>
  AMT_APART AMT_HD Failure choose_token(const Workers& workers, int64_t row, const float* logits, const float* negative,
                                        const LogSumExp& log_sum_exp, float* scratch, SamplingRoom& room) const {
    const Header& now = header();
    const int64_t vocab_size = options_.vocab_size;
    if (!are_below_infinity(workers, logits, vocab_size)) return Failure::kDamagedLogits;
    const float* given = logits;
    if (negative != nullptr) {
      const float log_sum = shift(workers, logits, log_sum_exp, scratch);
      for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) scratch[id] -= log_sum;
      workers.wait();
      given = guided(workers, scratch, negative, log_sum_exp, scratch);
      if (given == nullptr) return Failure::kDamagedLogits;
    }
    float* scores = legal_scores(workers, row, given, scratch);
    if (scores == nullptr) return Failure::kDamagedScores;
    const float best_score = row_max(workers, scores, vocab_size);
    if (best_score == -kInfinity) return Failure::kNoToken;
    int32_t token;
    if (options_.mode == Mode::kGreedy) {
      token = first_of(workers, scores, best_score, room);
    } else {
      if (!filter_scores(workers, options_, scores, scratch, room)) return Failure::kTemperature;
      const double draw = uniform(now.seed, static_cast<uint32_t>(now.first_position + now.length),
                                  static_cast<uint32_t>(now.first_sequence + row));
      token = choose(workers, scores, vocab_size, draw, reinterpret_cast<double*>(scratch), room);
      if (token < 0) return Failure::kNoDraw;
    }
    workers.wait();
    const float max = row_max(workers, logits, vocab_size);
    const float log_sum = shift(workers, logits, log_sum_exp, scratch);
    if (workers.is_first()) {
      // What is written behind the end of a row counts only when all rows have chosen.
      tokens(0, row)[now.length] = token;
      const float logit = logits[token];  // a forced token's may be -inf, and max with it
      log_probs(0, row)[num_new_tokens()] = logit == -kInfinity ? logit : (logit - max) - log_sum;
    }
    return Failure::kNone;
  }

  // The second half: what has been chosen counts. is_last: whatever has not ended is stopped.
  template <class Workers>
  AMT_APART AMT_HD void end_rows(const Workers& workers, bool is_last) const {
    Header& now = header();
    const int64_t length = now.length + 1;
    for (int64_t row = workers.first(); row < options_.num_rows; row += workers.step()) {
      Row& state = row_state(row);
      if (state.reason != FinishReason::kRunning) continue;
      state.length = length;
      const int32_t token = tokens(0, row)[length - 1];
      if (has_grammar_) take_token(grammar_state(0, row), token);
      if (token == options_.eos_token_id) {
        state.reason = FinishReason::kEos;
      } else if (length - now.prefix_len >= now.max_new_tokens) {
        state.reason = FinishReason::kLength;
      } else if (is_last) {
        state.reason = FinishReason::kStopped;
      }
    }
    workers.wait();
    if (workers.is_first()) {
      now.length = length;
      now.num_running = 0;
      for (int64_t row = 0; row < options_.num_rows; ++row) {
        now.num_running += row_state(row).reason == FinishReason::kRunning;
      }
    }
    workers.wait();
  }

  // What a row of beams offers: what is summed and compared, and what is recorded.
  struct RowScores {
    const float *scores, *log_probs;  // (vocab_size), in scratch
    Failure failure;
  };

  // The first half of a step of kBeams; arguments as of choose_token.
  template <class Workers, class LogSumExp>
  AMT_APART AMT_HD RowScores score_beam(const Workers& workers, int64_t row, const float* logits, const float* negative,
                                        const LogSumExp& log_sum_exp, float* scratch) const {
    const int64_t vocab_size = options_.vocab_size;
    float* log_probs = scratch;
    if (num_new_tokens() > 0 && has_grammar_ && !beam_state().beams[row].is_real) {
      // A placeholder has no grammar state, so no token is legal for it, and the model has not run it.
      fill(workers, log_probs, vocab_size, -kInfinity);
      workers.wait();
      return {log_probs, log_probs, Failure::kNone};
    }
    if (!log_softmax(workers, logits, log_sum_exp, log_probs)) return {nullptr, nullptr, Failure::kDamagedLogits};
    const float* given = log_probs;
    if (negative != nullptr) given = guided(workers, log_probs, negative, log_sum_exp, scratch);
    if (given == nullptr) return {nullptr, nullptr, Failure::kDamagedLogits};
    const float* scores = legal_scores(workers, row, given, scratch);
    return {scores, log_probs, scores == nullptr ? Failure::kDamagedScores : Failure::kNone};
  }

  // The second half: room.best has been offered all rows.
  template <class Workers>
  AMT_APART AMT_HD Failure end_beams(const Workers& workers, bool is_last, BeamRoom& room) const {
    Header& now = header();
    BeamState& state = beam_state();
    const int64_t num_new = num_new_tokens();
    workers.wait();
    if (workers.is_first()) {
      advance_beams(options_, now.max_new_tokens, num_new + 1, penalties(), is_last, room, state);
      if (num_new == 0 && !state.is_done) {  // at first all rows are the same, and the model has run one
        for (int64_t row = 0; row < options_.num_rows; ++row) state.beams[row].parent = 0;
      }
    }
    workers.wait();
    keep_finished(workers, room);
    if (!state.is_done) reorder(workers);
    workers.wait();
    if (workers.is_first()) {
      if (!state.is_done) now.bank = 1 - now.bank;
      ++now.length;
    }
    workers.wait();
    return state.is_done && num_results() == 0 ? Failure::kNoBeam : Failure::kNone;
  }

 protected:
  template <typename T>
  AMT_HD T* at(size_t offset) const {
    return reinterpret_cast<T*>(memory_ + offset);
  }
  AMT_HD float* penalties() const { return at<float>(layout_.penalties); }  // n ^ length_penalty, for n up to max_len
  AMT_HD Row& row_state(int64_t row) const { return at<Row>(layout_.rows)[row]; }  // kGreedy, kSample
  AMT_HD int32_t* tokens(int64_t bank, int64_t row) const {
    return at<int32_t>(layout_.tokens) + (bank * options_.num_rows + row) * max_len_;
  }
  AMT_HD float* log_probs(int64_t bank, int64_t row) const {  // of the new tokens
    return at<float>(layout_.log_probs) + (bank * options_.num_rows + row) * max_len_;
  }
  AMT_HD int32_t* finished_tokens(int64_t slot) const { return at<int32_t>(layout_.finished_tokens) + slot * max_len_; }
  AMT_HD float* finished_log_probs(int64_t slot) const {
    return at<float>(layout_.finished_log_probs) + slot * max_len_;
  }

 private:
  // log_softmax in float32, in the order of torch's: (logit - max) - log(sum), which stays exact for large logits.
  // Returns log(sum) and leaves logit - max in `shifted`; -inf stays -inf, also where it is all there is.
  template <class Workers, class LogSumExp>
  AMT_APART AMT_HD float shift(const Workers& workers, const float* logits, const LogSumExp& log_sum_exp,
                               float* shifted) const {
    const int64_t vocab_size = options_.vocab_size;
    const float max = row_max(workers, logits, vocab_size);
    for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
      shifted[id] = max == -kInfinity ? -kInfinity : logits[id] - max;
    }
    workers.wait();
    return max == -kInfinity ? 0.0f : log_sum_exp(workers, shifted, vocab_size);
  }

  // False if logits are NaN or infinite.
  template <class Workers, class LogSumExp>
  AMT_HD bool log_softmax(const Workers& workers, const float* logits, const LogSumExp& log_sum_exp,
                          float* log_probs) const {
    if (!are_below_infinity(workers, logits, options_.vocab_size)) return false;
    const float log_sum = shift(workers, logits, log_sum_exp, log_probs);
    for (int64_t id = workers.first(); id < options_.vocab_size; id += workers.step()) log_probs[id] -= log_sum;
    workers.wait();
    return true;
  }

  // The scores that guidance makes of a row's log-probabilities, in the second quarter of scratch; nullptr if the
  // negative logits are NaN or infinite.
  template <class Workers, class LogSumExp>
  AMT_APART AMT_HD const float* guided(const Workers& workers, const float* log_probs, const float* negative,
                                       const LogSumExp& log_sum_exp, float* scratch) const {
    const int64_t vocab_size = options_.vocab_size;
    float* scores = scratch + vocab_size;
    if (!log_softmax(workers, negative, log_sum_exp, scores)) return nullptr;
    for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
      const float own = log_probs[id], other = scores[id];
      const bool is_guided = own > -kInfinity && other > -kInfinity;
      scores[id] = is_guided ? other + options_.guidance_scale * (own - other) : own;
    }
    workers.wait();
    return scores;
  }

  // What the rules leave of a row, in the third quarter of scratch; nullptr if they make NaN or infinity of it. `given`
  // may lie in the first half.
  template <class Workers>
  AMT_HD float* legal_scores(const Workers& workers, int64_t row, const float* given, float* scratch) const {
    const Header& now = header();
    const int64_t vocab_size = options_.vocab_size, step = num_new_tokens();
    float* scores = scratch + 2 * vocab_size;
    auto* allowed = reinterpret_cast<uint8_t*>(scratch + 3 * vocab_size);
    if (has_grammar_)
      allowed_tokens(workers, grammar_state(now.bank, row), now.tokens_left - step, vocab_size, allowed);
    const RuleInput input{
        tokens(now.bank, row), now.length, now.num_before + step, now.num_before + now.tokens_left, allowed,
        has_grammar_};
    return apply_rules(workers, options_, input, given, scores) ? scores : nullptr;
  }

  // The first token with a score that some token has.
  template <class Workers>
  AMT_HD int32_t first_of(const Workers& workers, const float* scores, float score, SamplingRoom& room) const {
    const int64_t vocab_size = options_.vocab_size;
    int64_t own = workers.first();
    while (own < vocab_size && scores[own] != score) own += workers.step();
    if constexpr (Workers::kIsAlone) {
      (void)room;
      return static_cast<int32_t>(own);
    } else {  // ids are below 2^20, so that float32 holds them
      return -static_cast<int32_t>(workers.max(-static_cast<float>(own)));
    }
  }

  // Copies the hypotheses that have just taken a place out of the running rows.
  template <class Workers>
  AMT_HD void keep_finished(const Workers& workers, BeamRoom& room) const {
    const Header& now = header();
    const int64_t num_new = num_new_tokens();
    for (int64_t i = 0; i < room.finishes.size; ++i) {
      const Finish finish = room.finishes.items[i];
      const Continuation& ended = room.best[finish.rank];
      extend(workers, tokens(now.bank, ended.beam), now.length, ended.token, finished_tokens(finish.slot));
      extend(workers, log_probs(now.bank, ended.beam), num_new, ended.log_prob, finished_log_probs(finish.slot));
    }
  }

  // Rows follow their beams into the other bank.
  template <class Workers>
  AMT_HD void reorder(const Workers& workers) const {
    const Header& now = header();
    const int64_t bank = 1 - now.bank, num_new = num_new_tokens();
    for (int64_t row = 0; row < options_.num_rows; ++row) {
      const Beam& beam = beam_state().beams[row];
      extend(workers, tokens(now.bank, beam.parent), now.length, beam.token, tokens(bank, row));
      extend(workers, log_probs(now.bank, beam.parent), num_new, beam.log_prob, log_probs(bank, row));
    }
    for (int64_t row = workers.first(); has_grammar_ && row < options_.num_rows; row += workers.step()) {
      const Beam& beam = beam_state().beams[row];
      if (!beam.is_real) continue;
      grammar_state(bank, row) = grammar_state(now.bank, beam.parent);
      take_token(grammar_state(bank, row), beam.token);
    }
  }

  template <class Workers, class T>
  AMT_HD static void extend(const Workers& workers, const T* from, int64_t num, T last, T* to) {
    copy(workers, from, num, to);
    if (workers.is_first()) to[num] = last;
  }

 protected:
  SearchOptions options_;
  int64_t max_len_;
  bool has_grammar_;
  std::byte* memory_;
  Layout layout_;
};

}  // namespace amt::engine
