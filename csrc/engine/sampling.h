// Sampling one token of one row: the filters and the draw. Its twin is amt/decoding/plain/sampling.py.
//
// Exponentials are made by all workers, and added up by the first one in the order of the tokens: the order decides
// where a sum is cut.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "search_options.h"
#include "workers.h"

namespace amt::engine {

// The exponent of a probability and the first bits behind it: in the order of the probabilities.
constexpr int64_t kNumBuckets = 0x3F8 + 1;  // 1.0 is in the last one
AMT_HD inline int64_t bucket_of(float prob) {
  uint32_t bits;
  memcpy(&bits, &prob, sizeof(bits));
  const int64_t bucket = bits >> 20;
  return bucket < kNumBuckets ? bucket : kNumBuckets - 1;
}

// What the workers have in common while they sample.
struct SamplingRoom {
  double mass[kNumBuckets];
  double sum, dropped;
  int64_t passing, num_members, place;
};

template <class Workers>
AMT_APART AMT_HD void softmax(const Workers& workers, const float* scores, int64_t vocab_size, float* probs,
                              SamplingRoom& room) {
  const float max = row_max(workers, scores, vocab_size);
  for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
    probs[id] = scores[id] == -kInfinity ? 0.0f : std::exp(scores[id] - max);
  }
  workers.wait();
  if (workers.is_first()) {
    double sum = 0;
    for (int64_t id = 0; id < vocab_size; ++id) sum += probs[id];
    room.sum = sum;
  }
  workers.wait();
  const auto sum = static_cast<float>(room.sum);
  for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) probs[id] /= sum;
  workers.wait();
}

// Keeps the k highest scores, and whatever ties with the lowest of them.
template <class Workers>
AMT_APART AMT_HD void keep_top_k(const Workers& workers, float* scores, int64_t vocab_size, int64_t top_k,
                                 float* work) {
  if (top_k >= vocab_size) return;
  copy(workers, scores, vocab_size, work);
  const auto is_higher = [](float a, float b) { return a > b; };
  if constexpr (Workers::kIsAlone) {
    std::nth_element(work, work + top_k - 1, work + vocab_size, is_higher);
  } else {
    sort(workers, work, vocab_size, is_higher);
  }
  const float threshold = work[top_k - 1];
  for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
    if (scores[id] < threshold) scores[id] = -kInfinity;
  }
  workers.wait();
}

// Drops the least likely tokens while their probabilities sum to at most 1 - p; of equals the lower id stays longer,
// and the likeliest always. Holtzman et al. 2019, arXiv:1904.09751, section 3.1. Tokens are summed in buckets of
// similar probability; only the bucket in which the sum passes 1 - p needs an order. Sums are kept in double and
// compared in float32, as those of torch's cumsum.
template <class Workers>
AMT_APART AMT_HD void keep_top_p(const Workers& workers, float* scores, int64_t vocab_size, double top_p, float* work,
                                 SamplingRoom& room) {
  const float* probs = work;
  auto* members = reinterpret_cast<int32_t*>(work + vocab_size);
  softmax(workers, scores, vocab_size, work, room);
  const float likeliest = row_max(workers, probs, vocab_size);
  if (!(likeliest > 0)) return;  // infinite scores: all are NaN
  fill(workers, room.mass, kNumBuckets, 0.0);
  workers.wait();
  const auto limit = static_cast<float>(1 - top_p);
  const int64_t last = bucket_of(likeliest);
  if (workers.is_first()) {
    for (int64_t id = 0; id < vocab_size; ++id) room.mass[bucket_of(probs[id])] += probs[id];
    int64_t passing = 0;
    double dropped = 0;
    while (passing < last && static_cast<float>(dropped + room.mass[passing]) <= limit) dropped += room.mass[passing++];
    int64_t num_members = 0;
    for (int64_t id = 0; id < vocab_size; ++id) {
      if (bucket_of(probs[id]) == passing) members[num_members++] = static_cast<int32_t>(id);
    }
    room.passing = passing;
    room.dropped = dropped;
    room.num_members = num_members;
  }
  workers.wait();
  const int64_t passing = room.passing;
  int64_t num_members = room.num_members;
  sort(workers, members, num_members,
       [scores](int32_t a, int32_t b) { return scores[a] < scores[b] || (scores[a] == scores[b] && a > b); });
  for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
    if (bucket_of(probs[id]) < passing) scores[id] = -kInfinity;
  }
  if (workers.is_first()) {
    double dropped = room.dropped;
    if (passing == last) --num_members;
    for (int64_t i = 0; i < num_members; ++i) {
      dropped += probs[members[i]];
      if (!(static_cast<float>(dropped) <= limit)) break;
      scores[members[i]] = -kInfinity;
    }
  }
  workers.wait();
}

// Drops what is less likely than min_p times the likeliest token. Nguyen et al. 2024, arXiv:2407.01082, section 3.
template <class Workers>
AMT_APART AMT_HD void keep_min_p(const Workers& workers, float* scores, int64_t vocab_size, float min_p, float* work,
                                 SamplingRoom& room) {
  softmax(workers, scores, vocab_size, work, room);
  const float threshold = min_p * row_max(workers, work, vocab_size);
  for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
    if (work[id] < threshold) scores[id] = -kInfinity;
  }
  workers.wait();
}

// The sum of (num) numbers in their order, the same for all workers.
template <class Workers>
AMT_HD double sum_in_order(const Workers& workers, const double* numbers, int64_t num, SamplingRoom& room) {
  workers.wait();
  if (workers.is_first()) {
    double sum = 0;
    for (int64_t i = 0; i < num; ++i) sum += numbers[i];
    room.sum = sum;
  }
  workers.wait();
  const double sum = room.sum;
  workers.wait();  // nobody writes the next one before all have this one
  return sum;
}

// Keeps the tokens whose surprise is nearest to the entropy until they are likely enough together, and what lies as far
// from it as the last of them. Meister et al. 2022, arXiv:2202.00666, section 3.
template <class Workers>
AMT_APART AMT_HD void keep_typical_p(const Workers& workers, float* scores, int64_t vocab_size, double typical_p,
                                     float* work, SamplingRoom& room) {
  auto* terms = reinterpret_cast<double*>(work);
  const double max = row_max(workers, scores, vocab_size);
  for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) terms[id] = std::exp(scores[id] - max);
  const double log_sum = max + std::log(sum_in_order(workers, terms, vocab_size, room));
  for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
    const double log_prob = scores[id] - log_sum;
    terms[id] = scores[id] > -kInfinity ? -(std::exp(log_prob) * log_prob) : 0.0;
  }
  const double entropy = sum_in_order(workers, terms, vocab_size, room);
  float* distance = work;
  auto* ids = reinterpret_cast<int32_t*>(work + vocab_size);
  for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
    distance[id] = static_cast<float>(std::abs(log_sum - scores[id] - entropy));
    ids[id] = static_cast<int32_t>(id);
  }
  sort(workers, ids, vocab_size,
       [distance](int32_t a, int32_t b) { return distance[a] < distance[b] || (distance[a] == distance[b] && a < b); });
  if (workers.is_first()) {
    double mass = 0;
    int64_t last = 0;
    for (; last < vocab_size - 1; ++last) {
      mass += std::exp(scores[ids[last]] - log_sum);
      if (!(mass < typical_p)) break;
    }
    room.place = last;
  }
  workers.wait();
  const float threshold = distance[ids[room.place]];
  for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
    if (distance[id] > threshold) scores[id] = -kInfinity;
  }
  workers.wait();
}

// Temperature, top_k, top_p, min_p, typical_p, in this order and in place: scores (vocab_size), -inf where a token is
// out; at least one must be in, and one stays in. work: 2 * vocab_size floats, at a multiple of 8 bytes. False if
// scores divided by the temperature are infinite.
template <class Workers>
AMT_HD bool filter_scores(const Workers& workers, const SearchOptions& options, float* scores, float* work,
                          SamplingRoom& room) {
  const int64_t vocab_size = options.vocab_size;
  if (options.temperature != 1.0f) {
    for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) scores[id] /= options.temperature;
    workers.wait();
    const float max = row_max(workers, scores, vocab_size);
    if (!(max > -kInfinity && max < kInfinity)) return false;
  }
  if (options.top_k > 0) keep_top_k(workers, scores, vocab_size, options.top_k, work);
  if (options.top_p < 1.0) keep_top_p(workers, scores, vocab_size, options.top_p, work, room);
  if (options.min_p > 0.0f) keep_min_p(workers, scores, vocab_size, options.min_p, work, room);
  if (options.typical_p < 1.0) keep_typical_p(workers, scores, vocab_size, options.typical_p, work, room);
  return true;
}

// The token at `uniform` (in [0, 1)) of the cumulative distribution over ascending ids; -1 if the scores are no finite
// numbers. work: vocab_size doubles.
template <class Workers>
AMT_APART AMT_HD int32_t choose(const Workers& workers, const float* scores, int64_t vocab_size, double uniform,
                                double* work, SamplingRoom& room) {
  const double max = row_max(workers, scores, vocab_size);
  for (int64_t id = workers.first(); id < vocab_size; id += workers.step()) {
    work[id] = scores[id] > -kInfinity ? std::exp(scores[id] - max) : 0.0;
  }
  workers.wait();
  if (workers.is_first()) {
    double sum = 0;
    for (int64_t id = 0; id < vocab_size; ++id) work[id] = sum += work[id];
    const double wanted = uniform * sum;
    int64_t low = 0, high = vocab_size;  // the first place with more than is wanted
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (wanted < work[middle]) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    room.place = low < vocab_size ? low : -1;
  }
  workers.wait();
  return static_cast<int32_t>(room.place);
}

}  // namespace amt::engine
