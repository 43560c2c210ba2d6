// The search with any options, rules, grammar and guidance over any logits, NaN, infinite and huge ones too: it ends,
// by itself or by an error, and what can be read is whole.
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>

#include "claims.h"
#include "inputs.h"
#include "kernels.h"
#include "search.h"

using namespace amt;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float plain_log_sum_exp(const float* x, int64_t num) {
  float max = x[0], sum = 0;
  for (int64_t i = 0; i < num; ++i) max = std::max(max, x[i]);
  if (std::isinf(max)) return max;
  for (int64_t i = 0; i < num; ++i) sum += std::exp(x[i] - max);
  return max + std::log(sum);
}

// 64-byte aligned, and of just that size, so that a byte beyond is seen.
struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Block = std::unique_ptr<std::byte, Free>;
Block block_of(size_t size) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 64, std::max<size_t>(1, size)) != 0) std::abort();
  std::memset(memory, 0xA5, size);
  return Block(static_cast<std::byte*>(memory));
}

// The plain value, or some bits.
template <typename Number>
Number any_factor(fuzz::Bytes& bytes, Number plain) {
  const uint8_t kind = bytes.next();
  if (kind < 128) return plain;
  if (kind < 240) return plain * static_cast<Number>(bytes.next()) / 64;
  const auto bits = static_cast<uint32_t>(bytes.number(4));
  float number;
  std::memcpy(&number, &bits, sizeof number);
  return static_cast<Number>(number);
}

engine::SearchOptions any_options(fuzz::Bytes& bytes, int32_t vocab_size, std::vector<uint8_t>& suppressed) {
  engine::SearchOptions options;
  const uint8_t kind = bytes.next();
  options.vocab_size = vocab_size;
  options.mode = static_cast<engine::Mode>(kind % 3);
  options.num_rows =
      options.mode == engine::Mode::kGreedy ? 1 : static_cast<int32_t>(1 + bytes.below(kind & 64 ? 64 : 6));
  options.min_new_tokens = static_cast<int32_t>(bytes.below(20));
  options.no_repeat_ngram_size = static_cast<int32_t>(bytes.below(6));
  options.top_k = static_cast<int32_t>(bytes.rarely(2) ? bytes.below(200) : 0);
  options.early_stopping = static_cast<engine::EarlyStopping>(bytes.below(3));
  options.temperature = any_factor(bytes, 1.0f);
  options.top_p = any_factor(bytes, 1.0);
  options.min_p = any_factor(bytes, bytes.rarely(2) ? 0.1f : 0.0f);
  options.typical_p = any_factor(bytes, 1.0);
  options.repetition_penalty = any_factor(bytes, 1.0f);
  options.length_penalty = any_factor(bytes, 1.0);
  options.guidance_scale = any_factor(bytes, 2.0f);
  const auto some_token = [&] { return bytes.rarely(6) ? static_cast<int32_t>(bytes.below(vocab_size)) : -1; };
  options.forced_bos_token_id = some_token();
  options.forced_eos_token_id = some_token();
  if (kind & 128) {
    suppressed.resize(static_cast<size_t>(vocab_size));
    for (int64_t left = bytes.below(8); left > 0; --left) {
      suppressed[static_cast<size_t>(bytes.below(vocab_size))] |= static_cast<uint8_t>(1 + bytes.below(3));
    }
    options.suppressed = suppressed.data();
  }
  return options;
}

// What logits may be beside plain: none is -inf, few are, most are, or anything is there.
enum class Kind { kPlain, kSomeBanned, kMostBanned, kWild };

float any_logit(Kind kind, uint64_t bits) {
  const float plain = static_cast<float>(static_cast<int64_t>(bits & 0xffff) - 32768) / 4096.0f;
  if (kind == Kind::kSomeBanned && bits % 7 == 0) return -kInfinity;
  if (kind == Kind::kMostBanned && bits % 3 != 0) return -kInfinity;
  if (kind != Kind::kWild) return plain;
  if (bits % 50 == 0) return -kInfinity;
  if (bits % 5000 == 1) return std::numeric_limits<float>::quiet_NaN();
  if (bits % 5000 == 2) return kInfinity;
  if (bits % 11 == 3) return plain * 1e37f;
  if (bits % 13 == 4) return std::numeric_limits<float>::max();
  if (bits % 13 == 5) return std::numeric_limits<float>::lowest();
  return plain;
}

struct Case {
  engine::SearchOptions options;
  const midi::Grammar* grammar;
  int64_t prefix_len, max_len, max_new_tokens;
  bool is_wild;

  void claim_readable(const engine::Search& search, bool is_whole) const {
    const int64_t num = search.num_results();
    fuzz::claim(num >= 0 && num <= options.num_rows, "there are so many results", num);
    for (int64_t index = 0; index < num; ++index) {
      const int64_t length = search.result_length(index);
      fuzz::claim(length >= prefix_len && length <= prefix_len + max_new_tokens && length <= max_len, "lengths",
                  length);
      const int32_t* tokens = search.result_tokens(index);
      const float* log_probs = search.result_log_probs(index);
      for (int64_t i = 0; i < length; ++i) {
        fuzz::claim(tokens[i] >= 0 && tokens[i] < options.vocab_size, "results are tokens", tokens[i]);
      }
      for (int64_t i = 0; i < length - prefix_len; ++i) {
        fuzz::claim(!std::isnan(log_probs[i]) && log_probs[i] <= 0.01f, "log-probabilities are at most 0");
      }
      fuzz::claim(is_wild || !std::isnan(search.result_score(index)), "a score is a number");
      fuzz::claim(static_cast<int32_t>(search.result_reason(index)) <= 3, "a reason is one");
      if (grammar == nullptr || !is_whole) continue;
      midi::GrammarState state(*grammar);
      for (int64_t i = 0; i < length; ++i) {
        fuzz::claim(state.is_allowed(tokens[i]), "the grammar takes what a search chose", i);
        state.advance(tokens[i]);
      }
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Bytes bytes(data, size);
  std::unique_ptr<midi::Grammar> grammar;
  if (bytes.rarely(2)) {
    midi::VocabularyConfig config = fuzz::any_vocabulary(bytes);
    config.max_time_shift = 1 + config.max_time_shift % 16;
    try {
      midi::Constraints constraints = fuzz::any_constraints(bytes, config);
      midi::check_ranges(constraints);
      grammar = std::make_unique<midi::Grammar>(midi::Vocabulary(config), std::move(constraints));
    } catch (const std::invalid_argument&) {  // they contradict each other
      return 0;
    }
  }
  const auto vocab_size = static_cast<int32_t>(grammar ? grammar->vocabulary().size() : 2 + bytes.below(40));
  std::vector<uint8_t> suppressed;
  Case now{any_options(bytes, vocab_size, suppressed), grammar.get(), 0, 2 + bytes.below(40), 0, false};
  now.options.eos_token_id = grammar ? midi::Vocabulary::kEosId : static_cast<int32_t>(bytes.below(vocab_size));
  fuzz::SplitMix random{bytes.number(8)};
  size_t num_bytes = 0;
  try {
    num_bytes = engine::Search::bytes(now.options, now.max_len, grammar != nullptr);
  } catch (const std::invalid_argument&) {  // out of range
    return 0;
  }
  Block memory = block_of(num_bytes);

  std::vector<int32_t> prefix;
  midi::GrammarState* state = nullptr;
  std::unique_ptr<midi::GrammarState> walk;
  if (grammar) state = (walk = std::make_unique<midi::GrammarState>(*grammar)).get();
  std::vector<uint8_t> mask(static_cast<size_t>(vocab_size), 1);
  for (int64_t left = 1 + bytes.below(6); left > 0 && !(state && state->is_finished()); --left) {
    if (state) state->allowed(mask.data(), -1);
    std::vector<int32_t> may_come;
    for (int32_t id = 0; id < vocab_size; ++id) {
      if (mask[static_cast<size_t>(id)]) may_come.push_back(id);
    }
    prefix.push_back(may_come[random.next() % may_come.size()]);
    if (state) state->advance(prefix.back());
  }
  now.prefix_len = static_cast<int64_t>(prefix.size());
  now.max_new_tokens = bytes.rarely(20) ? static_cast<int64_t>(bytes.number(8)) : bytes.below(45) - 2;
  const bool has_negative = bytes.rarely(2);
  const auto kind = static_cast<Kind>(bytes.below(4));
  now.is_wild = kind == Kind::kWild;
  const int64_t stride = vocab_size + (bytes.rarely(2) ? 7 : 0);
  engine::Before before;
  if (bytes.rarely(5)) before = {prefix, bytes.below(30), bytes.below(90)};
  try {
    engine::Search search(now.options, now.max_len, grammar.get(), memory.get());
    search.begin(prefix.data(), now.prefix_len, now.max_new_tokens, random.next(), bytes.next(), before);
  } catch (const std::invalid_argument&) {
    const engine::Search search(now.options, now.max_len, grammar.get(), memory.get());
    fuzz::claim(search.is_done(), "what could not begin is done");
    return 0;
  }

  const auto num_logits = static_cast<size_t>(stride * now.options.num_rows);
  const std::unique_ptr<float[]> logits(new float[num_logits]), negative(new float[num_logits]);
  const Block scratch = block_of(static_cast<size_t>(vocab_size) * 4 * sizeof(float));
  engine::Kernels kernels{};
  kernels.log_sum_exp = plain_log_sum_exp;
  for (int64_t step = 0;; ++step) {
    if (random.next() % 4 == 0) {  // a block may move between two steps
      Block moved = block_of(num_bytes);
      std::memcpy(moved.get(), memory.get(), num_bytes);
      memory = std::move(moved);
    }
    engine::Search search(now.options, now.max_len, grammar.get(), memory.get());
    if (search.is_done()) break;
    fuzz::claim(step < now.max_new_tokens, "a search ends", step);
    for (size_t i = 0; i < num_logits; ++i) {
      logits[i] = any_logit(kind, random.next());
      negative[i] = any_logit(kind, random.next());
    }
    try {
      search.step(logits.get(), has_negative ? negative.get() : nullptr, stride, kernels,
                  reinterpret_cast<float*>(scratch.get()), random.next() % 40 == 0);
    } catch (const engine::DecodingError&) {
      now.claim_readable(search, false);
      break;
    }
    now.claim_readable(search, search.is_done());
    for (int32_t row = 0; row < now.options.num_rows && !search.is_done(); ++row) {
      if (!search.is_active(row)) continue;
      fuzz::claim(search.last_token(row) >= 0 && search.last_token(row) < vocab_size, "a row goes on with a token");
      fuzz::claim(search.parent(row) >= 0 && search.parent(row) < now.options.num_rows, "a row goes on with a row");
    }
  }
  return 0;
}
