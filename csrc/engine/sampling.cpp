// Its twin is amt/decoding/plain/sampling.py.
#include "sampling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "row_max.h"

namespace amt::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

void softmax(const float* scores, int64_t vocab_size, float* probs) {
  const float max = row_max(scores, vocab_size);
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

// The exponent of a probability and the first bits behind it: in the order of the probabilities.
constexpr size_t kNumBuckets = 0x3F8 + 1;  // 1.0 is in the last one
size_t bucket_of(float prob) {
  uint32_t bits;
  std::memcpy(&bits, &prob, sizeof(bits));
  return std::min<size_t>(bits >> 20, kNumBuckets - 1);
}

// Drops the least likely tokens while their probabilities sum to at most 1 - p; of equals the lower id stays longer,
// and the likeliest always. Holtzman et al. 2019, arXiv:1904.09751, section 3.1. Tokens are summed in buckets of
// similar probability; only the bucket in which the sum passes 1 - p needs an order. Sums are kept in double and
// compared in float32, as those of torch's cumsum.
void keep_top_p(float* scores, int64_t vocab_size, double top_p, float* work) {
  const float* probs = work;
  softmax(scores, vocab_size, work);
  const float likeliest = row_max(probs, vocab_size);
  if (!(likeliest > 0)) return;  // infinite scores: all are NaN
  std::array<double, kNumBuckets> mass{};
  for (int64_t id = 0; id < vocab_size; ++id) mass[bucket_of(probs[id])] += probs[id];
  const float limit = static_cast<float>(1 - top_p);
  const size_t last = bucket_of(likeliest);
  size_t passing = 0;
  double dropped = 0;
  for (; passing < last && static_cast<float>(dropped + mass[passing]) <= limit; ++passing) dropped += mass[passing];

  auto* members = reinterpret_cast<int32_t*>(work + vocab_size);
  int64_t num_members = 0;
  for (int32_t id = 0; id < vocab_size; ++id) {
    const size_t bucket = bucket_of(probs[id]);
    if (bucket < passing) scores[id] = -kInfinity;
    if (bucket == passing) members[num_members++] = id;
  }
  std::sort(members, members + num_members,
            [scores](int32_t a, int32_t b) { return scores[a] < scores[b] || (scores[a] == scores[b] && a > b); });
  if (passing == last) --num_members;
  for (int64_t i = 0; i < num_members; ++i) {
    dropped += probs[members[i]];
    if (!(static_cast<float>(dropped) <= limit)) break;
    scores[members[i]] = -kInfinity;
  }
}

// Drops what is less likely than min_p times the likeliest token. Nguyen et al. 2024, arXiv:2407.01082, section 3.
void keep_min_p(float* scores, int64_t vocab_size, float min_p, float* work) {
  softmax(scores, vocab_size, work);
  const float threshold = min_p * row_max(work, vocab_size);
  for (int64_t id = 0; id < vocab_size; ++id) {
    if (work[id] < threshold) scores[id] = -kInfinity;
  }
}

// Keeps the tokens whose surprise is nearest to the entropy until they are likely enough together, and what lies as far
// from it as the last of them. Meister et al. 2022, arXiv:2202.00666, section 3.
void keep_typical_p(float* scores, int64_t vocab_size, double typical_p, float* work) {
  const double max = row_max(scores, vocab_size);
  double sum = 0;
  for (int64_t id = 0; id < vocab_size; ++id) sum += std::exp(scores[id] - max);
  const double log_sum = max + std::log(sum);
  double entropy = 0;
  for (int64_t id = 0; id < vocab_size; ++id) {
    const double log_prob = scores[id] - log_sum;
    if (scores[id] > -kInfinity) entropy -= std::exp(log_prob) * log_prob;
  }
  float* distance = work;
  auto* ids = reinterpret_cast<int32_t*>(work + vocab_size);
  for (int32_t id = 0; id < vocab_size; ++id) {
    distance[id] = static_cast<float>(std::abs(log_sum - scores[id] - entropy));
    ids[id] = id;
  }
  std::sort(ids, ids + vocab_size, [distance](int32_t a, int32_t b) {
    return distance[a] < distance[b] || (distance[a] == distance[b] && a < b);
  });
  double mass = 0;
  int64_t last = 0;
  for (; last < vocab_size - 1; ++last) {
    mass += std::exp(scores[ids[last]] - log_sum);
    if (!(mass < typical_p)) break;
  }
  const float threshold = distance[ids[last]];
  for (int64_t id = 0; id < vocab_size; ++id) {
    if (distance[id] > threshold) scores[id] = -kInfinity;
  }
}

}  // namespace

void filter_scores(const SearchOptions& options, float* scores, float* work) {
  const int64_t vocab_size = options.vocab_size;
  if (options.temperature != 1.0f) {
    for (int64_t id = 0; id < vocab_size; ++id) scores[id] /= options.temperature;
    if (!std::isfinite(row_max(scores, vocab_size))) {
      throw DecodingError("scores divided by the temperature are infinite; raise temperature");
    }
  }
  if (options.top_k > 0) keep_top_k(scores, vocab_size, options.top_k, work);
  if (options.top_p < 1.0) keep_top_p(scores, vocab_size, options.top_p, work);
  if (options.min_p > 0.0f) keep_min_p(scores, vocab_size, options.min_p, work);
  if (options.typical_p < 1.0) keep_typical_p(scores, vocab_size, options.typical_p, work);
}

int32_t choose(const float* scores, int64_t vocab_size, double uniform, double* work) {
  const double max = row_max(scores, vocab_size);
  double sum = 0;
  for (int64_t id = 0; id < vocab_size; ++id) {
    if (scores[id] > -kInfinity) sum += std::exp(scores[id] - max);
    work[id] = sum;
  }
  const double* place = std::upper_bound(work, work + vocab_size, uniform * sum);
  if (place == work + vocab_size) throw DecodingError("no token can be drawn: the scores are no finite numbers");
  return static_cast<int32_t>(place - work);
}

}  // namespace amt::engine
