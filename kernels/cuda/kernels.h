// What the kernels are called with: plain numbers and pointers to the GPU's memory, checked by whoever calls. Each call
// returns CUDA's number of the error, 0: none; `kNoKernel` if it has no kernel for these sizes.
//
// A row is one live sequence: a beam, or a prompt that has one. `is_bfloat` says what weights and caches are kept in:
// bfloat16, or float32. What goes from kernel to kernel is float32.
#pragma once

#include <cstdint>

namespace amt::midi {
struct GrammarRules;
class GrammarState;
struct FeatureRules;
class FeatureTrack;
struct FeatureEntry;
}  // namespace amt::midi

namespace amt::cuda {

constexpr int kNoKernel = -1;

struct Embed {
  const int32_t* token_ids;      // (num_rows)
  const void* embedding;         // (vocab_size, d_model)
  const void* features;          // (num_columns, d_model); null: none
  const int32_t* num_entries;    // (num_rows): how many features each row has
  const int32_t* columns;        // (num_rows, max_entries)
  const float* values;           // (num_rows, max_entries)
  const float* positions;        // a table (max_len, d_model), added; null: none
  const int32_t* row_positions;  // (num_rows)
  float* x;                      // (num_rows, d_model)
  int32_t num_rows, d_model, max_entries;
  float scale;  // of the embedding
};

enum class Activation : int32_t { kNone, kRelu, kGelu, kSwiglu };

// y = activation(norm(x) weight^T + bias) + residual; with kSwiglu weight has 2 * out_features rows, gates in front.
struct NormLinear {
  const float* x;            // (num_rows, in_features)
  const float* norm_weight;  // (in_features); null: no norm
  const float* norm_bias;
  const void* weight;                           // (out_features, in_features)
  const float* bias;                            // (out_features)
  const float* residual;                        // (num_rows, out_features), may be y; null: none
  float* y;                                     // (num_rows, out_features)
  int32_t num_rows, in_features, out_features;  // in_features: a multiple of 32, at most 3,072
  // The norm is of so many of the inputs; behind them norm_weight and norm_bias are 0. A row of y is so long.
  int32_t norm_features, y_stride;
  Activation activation;
};

// y = norm(x), and zeros behind the features of a row; y may be x.
struct Norm {
  const float* x;  // (num_rows, stride)
  const float* weight;
  const float* bias;
  float* y;
  int32_t num_rows, num_features, stride;
};

// How far each row turns: from its position, and its last pairs from its musical time.
struct Turns {
  const float* cosine;          // tables (max_len, head_dim)
  const float* sine;            // signed
  const float* time_frequency;  // of the last pairs
  float* turns;                 // (num_rows, 2, head_dim); null: nothing turns
  int32_t head_dim, num_timed_pairs;
};

// From queries, keys and values of new positions: the norm of queries and keys, their turning, and keys and values to
// the cache. head_dim is the model's; in memory a head has head_stride numbers, the rest of them 0.
struct PlaceKeys {
  float* query_key_value;        // (num_rows, 3, num_heads, head_stride); queries are changed in place
  void* keys;                    // as of DecodeAttention
  void* values;                  // the same
  const float* turns;            // (num_rows, 2, head_dim): cosine and signed sine; null: nothing turns
  const int32_t* row_positions;  // (num_rows)
  const int32_t* row_prompts;    // (num_rows): prefixes, all in slot 0; null: num_beams rows a prompt, a slot each
  const int32_t* lengths;        // (num_prompts), 0: the prompt does not run; null: all run
  int32_t num_rows, num_beams, num_heads, head_dim, head_stride, capacity;
  float norm_scale;  // of the length of queries and keys; 0: they keep theirs
};

// Keys, or values, of a text to where attention reads them.
struct PlaceMemory {
  const float* from;  // (num_heads, len, head_dim)
  void* to;           // (num_heads, capacity, head_stride)
  int32_t num_heads, len, head_dim, capacity, head_stride;
};

// One query a row over its keys. Keys and values never move: position p of a beam stands in the slot that its ancestry
// names. Before trunk_lengths all beams of a prompt share it, and it is read once for all of them.
struct DecodeAttention {
  const float* query;            // (num_prompts, num_beams, query_stride), head h from h * head_dim on
  const void* keys;              // (num_memories, num_heads, capacity, num_slots, head_dim)
  const void* values;            // the same
  const int32_t* memories;       // (num_prompts): whose keys and values; null: each prompt has its own
  const uint8_t* ancestry;       // (num_ancestries, num_beams, capacity); null: slot 0
  const int32_t* lengths;        // (num_prompts): positions that there are
  const int32_t* trunk_lengths;  // (num_prompts); null: all is trunk
  const uint8_t* mask;           // (num_memories, capacity), 0: may not be seen; null: all may
  const float* bias;             // (num_heads, bias_len): the last of them of the last position; null: none
  float* partial;                // (num_prompts, num_heads, chunks, num_beams, head_dim + 2)
  uint32_t* arrivals;            // (num_prompts, ceil(num_beams / 8), num_heads), 0 before and after
  float* out;                    // (num_prompts, num_beams, num_heads * head_dim)
  int32_t num_prompts, num_heads, num_beams, num_slots, head_dim, capacity, query_stride, bias_len;
  int32_t num_ancestries;  // prompt p has that of p % num_ancestries
  int32_t window;          // only the last so many positions; 0: all
  float scale;
};

// Positions of a prompt's prefix, side by side in a pass: rows first_row, first_row + 1, ...
struct Segment {
  int32_t prompt, first_position, num_positions, first_row;
};

// Many queries of one prompt at a time: of a prefix over itself, whose keys and values are in the cache by then, or
// over the text. They lie as in DecodeAttention; of a prompt slot 0 counts.
struct PrefixAttention {
  const float* query;       // (num_rows, query_stride), head h from h * head_dim on
  const void* keys;         // (num_memories, num_heads, capacity, num_slots, head_dim)
  const void* values;       // the same
  const Segment* segments;  // (num_segments)
  const int32_t* memories;  // (num_prompts): whose keys and values; null: each prompt has its own
  const int32_t* lengths;   // (num_prompts): positions of the text; null: a query sees those up to its own
  const uint8_t* mask;      // (num_memories, capacity), 0: may not be seen; null: all may
  const float* bias;        // (num_heads, bias_len): the last of them of the own position; null: none
  float* out;               // (num_rows, num_heads * head_dim)
  int32_t num_segments, longest_segment, num_heads, num_slots, head_dim, capacity, query_stride, bias_len;
  int32_t window;  // only the last so many positions; 0: all
  float scale;
};

// How far the rows of prefixes turn.
struct PrefixTurns {
  Turns turns;
  const int64_t* times;          // (num_rows): musical time
  const int32_t* row_positions;  // (num_rows)
  int32_t num_rows;
};

// Rows take their tokens; then which tokens may come next, and the features of those that were taken.
struct GrammarStep {
  const midi::GrammarRules* rules;          // (num_rows), with one vocabulary
  midi::GrammarState* states;               // (num_rows)
  const int32_t* token_ids;                 // (num_rows); -1: none
  const int64_t* remaining;                 // (num_rows): tokens that are left, `eos` included; -1: any number
  uint8_t* taken;                           // (num_rows): whether the token was allowed; if not, the row stays as it is
  uint8_t* masks;                           // (num_rows, vocab_size)
  const midi::FeatureRules* feature_rules;  // null: no features
  midi::FeatureTrack* tracks;               // (num_rows)
  uint64_t* lists;              // (num_rows, list_words), with room for `capacity` tokens: FeatureTrack::list_bytes
  const float* value_table;     // FeatureLayout::value_table
  midi::FeatureEntry* entries;  // (num_rows, max_entries)
  float* values;                // (num_rows, max_entries)
  int32_t* num_entries;         // (num_rows)
  int64_t capacity, list_words;
  int32_t num_rows;
};

constexpr int kChunk = 64;  // positions of a block of DecodeAttention

extern "C" {
int amt_cuda_embed(const Embed* call, int is_bfloat, void* stream);
int amt_cuda_norm_linear(const NormLinear* call, int is_bfloat, void* stream);
int amt_cuda_norm(const Norm* call, void* stream);
int amt_cuda_place_keys(const PlaceKeys* call, int is_bfloat, void* stream);
int amt_cuda_place_memory(const PlaceMemory* call, int is_bfloat, void* stream);
int amt_cuda_decode_attention(const DecodeAttention* call, int is_bfloat, void* stream);
int amt_cuda_prefix_linear(const NormLinear* call, int is_bfloat, void* stream);  // without a norm
int amt_cuda_prefix_attention(const PrefixAttention* call, int is_bfloat, void* stream);
int amt_cuda_prefix_turns(const PrefixTurns* call, void* stream);
int amt_cuda_grammar_step(const GrammarStep* call, int is_bfloat, void* stream);  // the same for both
}

}  // namespace amt::cuda
