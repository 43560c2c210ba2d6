#include "sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace amt::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void softmax(const float* scores, int64_t vocab_size, float* probs) {
  const float max = *std::max_element(scores, scores + vocab_size);
  double sum = 0;
  for (int64_t id = 0; id < vocab_size; ++id) {
    probs[id] = scores[id] == -kInfinity ? 0 : std::exp(scores[id] - max);
    sum += probs[id];
  }
  for (int64_t id = 0; id < vocab_size; ++id) probs[id] /= static_cast<float>(sum);
}

// Keeps the k highest scores, and whatever ties with the lowest of them.
void keep_top_k(float* scores, int64_t vocab_size, int64_t top_k, float* work) {
  if (top_k >= vocab_size) return;
  std::copy(scores, scores + vocab_size, work);
  std::nth_element(work, work + top_k - 1, work + vocab_size, [](float a, float b) { return a > b; });
  const float threshold = work[top_k - 1];
  for (int64_t id = 0; id < vocab_size; ++id) {
    if (scores[id] < threshold) scores[id] = -kInfinity;
  }
}

// Drops the least likely tokens while their probabilities sum to at most 1 - p; of equals the lower id stays longer.
// Holtzman et al. 2019, arXiv:1904.09751, section 3.1. The likeliest are taken off a heap until what is left over may
// go: a distribution worth filtering has few of them. Sums are kept in double and compared in float32, as torch's
// cumsum does.
void keep_top_p(float* scores, int64_t vocab_size, double top_p, float* work) {
  float* probs = work;
  auto* heap = reinterpret_cast<int32_t*>(work + vocab_size);
  softmax(scores, vocab_size, probs);
  int32_t* end = heap;
  double remaining = 0;
  for (int32_t id = 0; id < vocab_size; ++id) {
    if (!(probs[id] > 0)) continue;
    *end++ = id;
    remaining += probs[id];
  }
  const auto is_less_likely = [scores](int32_t a, int32_t b) {
    return scores[a] < scores[b] || (scores[a] == scores[b] && a > b);
  };
  std::make_heap(heap, end, is_less_likely);
  const float limit = static_cast<float>(1 - top_p);
  for (bool is_likeliest = true; end != heap; is_likeliest = false) {
    if (!is_likeliest && static_cast<float>(remaining) <= limit) break;
    std::pop_heap(heap, end, is_less_likely);
    remaining -= probs[*--end];
  }
  while (end != heap) scores[*--end] = -kInfinity;
  for (int64_t id = 0; id < vocab_size; ++id) {
    if (probs[id] == 0) scores[id] = -kInfinity;
  }
}

// Drops what is less likely than min_p times the likeliest token. Nguyen et al. 2024, arXiv:2407.01082, section 3.
void keep_min_p(float* scores, int64_t vocab_size, float min_p, float* work) {
  softmax(scores, vocab_size, work);
  const float threshold = min_p * *std::max_element(work, work + vocab_size);
  for (int64_t id = 0; id < vocab_size; ++id) {
    if (work[id] < threshold) scores[id] = -kInfinity;
  }
}

}  // namespace

void filter_scores(const SearchOptions& options, float* scores, float* work) {
  const int64_t vocab_size = options.vocab_size;
  if (options.temperature != 1.0f) {
    for (int64_t id = 0; id < vocab_size; ++id) scores[id] /= options.temperature;
  }
  if (options.top_k > 0) keep_top_k(scores, vocab_size, options.top_k, work);
  if (options.top_p < 1.0) keep_top_p(scores, vocab_size, options.top_p, work);
  if (options.min_p > 0.0f) keep_min_p(scores, vocab_size, options.min_p, work);
}

int32_t choose(const float* scores, int64_t vocab_size, double uniform, double* work) {
  const double max = *std::max_element(scores, scores + vocab_size);
  double sum = 0;
  for (int64_t id = 0; id < vocab_size; ++id) {
    if (scores[id] > -kInfinity) sum += std::exp(scores[id] - max);
    work[id] = sum;
  }
  const double* place = std::upper_bound(work, work + vocab_size, uniform * sum);
  return place == work + vocab_size ? 0 : static_cast<int32_t>(place - work);
}

}  // namespace amt::engine
