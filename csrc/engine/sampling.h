// Sampling one token of one row: the filters and the draw. Must equal amt/decoding/plain/sampling.py.
#pragma once

#include <cstdint>

#include "search_options.h"

namespace amt::engine {

// Temperature, top_k, top_p, min_p, typical_p, in this order and in place: scores (vocab_size), -inf where a token is
// out; at least one must be in, and one stays in. work: 2 * vocab_size floats.
void filter_scores(const SearchOptions& options, float* scores, float* work);

// The token at `uniform` (in [0, 1)) of the cumulative distribution over ascending ids. work: vocab_size doubles.
int32_t choose(const float* scores, int64_t vocab_size, double uniform, double* work);

}  // namespace amt::engine
