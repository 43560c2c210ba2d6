// The search for tests, through ctypes: logits come from the test in place of a model. And the grammar and the state
// features as the bytes that a GPU gets.
#include <cmath>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checked_grammar.h"
#include "search.h"
#include "state_features.h"

#define AMT_TESTING extern "C" __attribute__((visibility("default")))

namespace amt::engine {
namespace {

// 64-byte aligned bytes.
class Block {
 public:
  explicit Block(size_t size) : bytes_(size + 64), size_(size) {}
  std::byte* data() {
    void* place = bytes_.data();
    size_t space = bytes_.size();
    return static_cast<std::byte*>(std::align(64, size_, place, space));
  }
  size_t size() const { return size_; }

 private:
  std::vector<std::byte> bytes_;
  size_t size_;
};

float plain_log_sum_exp(const float* x, int64_t num) {
  float max = x[0], sum = 0;
  for (int64_t i = 0; i < num; ++i) max = x[i] > max ? x[i] : max;
  if (std::isinf(max)) return max;
  for (int64_t i = 0; i < num; ++i) sum += std::exp(x[i] - max);
  return max + std::log(sum);
}

midi::Grammar copy_of(const midi::Grammar& grammar) { return {grammar.vocabulary(), grammar.constraints()}; }

struct TestSearch {
  TestSearch(const SearchOptions& given_options, std::vector<uint8_t> given_flags, int64_t given_max_len,
             const midi::Grammar* given_grammar)
      : options(given_options),
        suppressed(std::move(given_flags)),
        max_len(given_max_len),
        block(Search::bytes(options, max_len, given_grammar != nullptr)),
        scratch(static_cast<size_t>(options.vocab_size) * 4 * sizeof(float)) {
    if (given_grammar != nullptr) grammar = std::make_unique<midi::Grammar>(copy_of(*given_grammar));
    options.suppressed = suppressed.empty() ? nullptr : suppressed.data();
    kernels.log_sum_exp = plain_log_sum_exp;
  }
  Search view() { return {options, max_len, grammar.get(), block.data()}; }

  SearchOptions options;
  std::vector<uint8_t> suppressed;
  int64_t max_len;
  std::unique_ptr<midi::Grammar> grammar;
  Block block, scratch;
  Kernels kernels{};
  std::string error;
};

// 0, or 1 with the reason in `error`; 2 for a DecodingError.
template <typename Work>
int32_t guard(std::string& error, Work work) {
  try {
    work();
    return 0;
  } catch (const DecodingError& caught) {
    error = caught.what();
    return 2;
  } catch (const std::exception& caught) {
    error = caught.what();
    return 1;
  }
}

}  // namespace
}  // namespace amt::engine

using amt::engine::Block;
using amt::engine::guard;
using amt::engine::SearchOptions;
using amt::engine::TestSearch;
using amt::midi::FeatureLayout;
using amt::midi::FeatureRules;
using amt::midi::FeatureTrack;
using amt::midi::Grammar;
using amt::midi::GrammarRules;
using amt::midi::GrammarState;

// Both texts of midi/named_values.h. nullptr if there is no such grammar.
AMT_TESTING Grammar* amt_grammar_new(const char* vocabulary, const char* constraints) {
  std::string error;
  std::unique_ptr<Grammar> grammar;
  guard(error, [&] { grammar = std::make_unique<Grammar>(amt::midi::grammar_from(vocabulary, constraints)); });
  return grammar.release();
}
AMT_TESTING void amt_grammar_delete(Grammar* grammar) { std::unique_ptr<Grammar>{grammar}; }
AMT_TESTING const void* amt_grammar_rules(const Grammar* grammar) { return &grammar->rules(); }
// The state before the first token.
AMT_TESTING void amt_grammar_start(const Grammar* grammar, void* state) {
  const GrammarState start(*grammar);
  std::memcpy(state, &start, sizeof(start));
}

// A text of midi/named_values.h. nullptr if there is no such layout.
AMT_TESTING FeatureLayout* amt_features_new(const char* text) {
  std::string error;
  std::unique_ptr<FeatureLayout> layout;
  guard(error, [&] { layout = std::make_unique<FeatureLayout>(std::string_view(text)); });
  return layout.release();
}
AMT_TESTING void amt_features_delete(FeatureLayout* layout) { std::unique_ptr<FeatureLayout>{layout}; }
AMT_TESTING const void* amt_features_rules(const FeatureLayout* layout) { return &layout->rules(); }
AMT_TESTING int32_t amt_features_max_entries(const FeatureLayout* layout) { return layout->max_entries(); }
AMT_TESTING int64_t amt_features_table(const FeatureLayout* layout, float* table) {
  const std::vector<float> values = layout->value_table();
  if (table != nullptr) std::memcpy(table, values.data(), values.size() * sizeof(float));
  return static_cast<int64_t>(values.size());
}
AMT_TESTING void amt_features_start(const FeatureLayout* layout, int64_t num_bars, void* track) {
  const FeatureTrack start(layout->rules(), num_bars, nullptr, 0);
  std::memcpy(track, &start, sizeof(start));
}

// The bytes of the rules of a grammar, of its state, of the rules of features, of a track, and of the track's lists.
AMT_TESTING void amt_device_bytes(int64_t capacity, int64_t* bytes) {
  bytes[0] = sizeof(GrammarRules);
  bytes[1] = sizeof(GrammarState);
  bytes[2] = sizeof(FeatureRules);
  bytes[3] = sizeof(FeatureTrack);
  bytes[4] = static_cast<int64_t>(FeatureTrack::list_bytes(capacity));
}

// options: of SearchOptions, with suppress_tokens and begin_suppress_tokens, a text of midi/named_values.h.
// log_sum_exp: nullptr for a plain one. nullptr if there is no such search.
AMT_TESTING TestSearch* amt_search_new(const char* options, int64_t vocab_size, int64_t max_len, const Grammar* grammar,
                                       float (*log_sum_exp)(const float*, int64_t)) {
  std::string error;
  std::unique_ptr<TestSearch> search;
  guard(error, [&] {
    amt::NamedValues values(options);
    SearchOptions given;
    std::vector<int32_t> suppress_tokens, begin_suppress_tokens;
    visit_fields(given, values);
    values("suppress_tokens", suppress_tokens);
    values("begin_suppress_tokens", begin_suppress_tokens);
    values.check_all_read();
    given.vocab_size = static_cast<int32_t>(vocab_size);
    search = std::make_unique<TestSearch>(
        given, amt::engine::suppressed_flags(suppress_tokens, begin_suppress_tokens, vocab_size), max_len, grammar);
    search->view();
    if (log_sum_exp != nullptr) search->kernels.log_sum_exp = log_sum_exp;
  });
  return search.release();
}
AMT_TESTING void amt_search_delete(TestSearch* search) { std::unique_ptr<TestSearch>{search}; }
AMT_TESTING const char* amt_search_error(TestSearch* search) { return search->error.c_str(); }

AMT_TESTING int32_t amt_search_begin(TestSearch* search, const int32_t* prefix, int64_t prefix_len,
                                     int64_t max_new_tokens, uint64_t seed) {
  return guard(search->error, [&] { search->view().begin(prefix, prefix_len, max_new_tokens, seed); });
}
// negative: nullptr, or the logits under a negative text.
AMT_TESTING int32_t amt_search_step(TestSearch* search, const float* logits, const float* negative, int64_t stride) {
  auto* scratch = reinterpret_cast<float*>(search->scratch.data());
  return guard(search->error, [&] { search->view().step(logits, negative, stride, search->kernels, scratch); });
}
// Moves the block and the grammar elsewhere and overwrites where they were.
AMT_TESTING void amt_search_move(TestSearch* search) {
  Block moved(search->block.size());
  std::memcpy(moved.data(), search->block.data(), moved.size());
  std::memset(search->block.data(), 0xA5, moved.size());
  search->block = std::move(moved);
  if (search->grammar) search->grammar = std::make_unique<Grammar>(amt::engine::copy_of(*search->grammar));
}

AMT_TESTING bool amt_search_is_done(TestSearch* search) { return search->view().is_done(); }
AMT_TESTING int64_t amt_search_length(TestSearch* search) { return search->view().length(); }
AMT_TESTING bool amt_search_is_active(TestSearch* search, int64_t row) { return search->view().is_active(row); }
AMT_TESTING int32_t amt_search_last_token(TestSearch* search, int64_t row) { return search->view().last_token(row); }
AMT_TESTING int32_t amt_search_parent(TestSearch* search, int64_t row) { return search->view().parent(row); }
AMT_TESTING int64_t amt_search_num_results(TestSearch* search) { return search->view().num_results(); }
AMT_TESTING int64_t amt_result_length(TestSearch* search, int64_t index) { return search->view().result_length(index); }
AMT_TESTING const int32_t* amt_result_tokens(TestSearch* search, int64_t index) {
  return search->view().result_tokens(index);
}
AMT_TESTING const float* amt_result_log_probs(TestSearch* search, int64_t index) {
  return search->view().result_log_probs(index);
}
AMT_TESTING double amt_result_score(TestSearch* search, int64_t index) { return search->view().result_score(index); }
AMT_TESTING int32_t amt_result_reason(TestSearch* search, int64_t index) {
  return static_cast<int32_t>(search->view().result_reason(index));
}
