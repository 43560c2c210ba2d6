// What each instruction set offers: attention of some tiles of one head, and what else a step of training takes long
// for. A kernel takes pointers and a range, allocates nothing and starts no thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "attention.h"
#include "newton_schulz.h"
#include "swiglu.h"

namespace amt::training {

// Queries and keys of a tile.
constexpr int64_t kTile = 64;

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }
constexpr int64_t num_tiles(int64_t length) { return (length + kTile - 1) / kTile; }

// The gradient of a query is a sum over tiles of keys. So many tiles are added up by themselves, then these sums one
// after the other: so the sums can be computed by different threads without changing a bit.
constexpr int64_t kTilesPerSum = 8;

// Tiles first_tile .. last_tile - 1 of one head: of its queries in the forward pass, of its keys in the backward pass,
// there either all or those of one sum.
struct Part {
  int64_t batch, head, first_tile, last_tile;
  // Backward, if these are the tiles of one sum: where that goes, (query_len, head_dim), for `add_sums`; else nullptr.
  float* sum;
};

struct Kernels {
  const char* name;  // "generic", "avx2", "avx512", "avx512_bf16", "avx512_amx"
  // Bytes of scratch memory that a part takes, which begins at a multiple of 64.
  int64_t (*attention_forward_bytes)(const AttentionCall& call);
  void (*attention_forward)(const AttentionCall& call, const Part& part, std::byte* scratch);
  int64_t (*attention_backward_bytes)(const AttentionCall& call);
  void (*attention_backward)(const AttentionCall& call, const Part& part, std::byte* scratch);
  // Writes grad_query of a head from its sums (num_sums, query_len, head_dim); they are scratch memory afterwards.
  void (*attention_add_sums)(const AttentionCall& call, int64_t batch, int64_t head, float* sums, int64_t num_sums);
  void (*swiglu_rows)(const SwigluCall& call, int64_t first_row, int64_t last_row);
  int64_t (*orthogonalize_bytes)(const Matrix& matrix);
  void (*orthogonalize)(const Matrix& matrix, const NewtonSchulz& iteration, std::byte* scratch);
};

// The sets that were built and that this processor runs; the first is "generic", and each is faster than those before.
int64_t num_kernel_sets();
const Kernels& kernel_set(int64_t index);
// The set of that name, or "amx_emulated", which is in no list; throws std::invalid_argument that lists what there is.
const Kernels& find_kernels(const char* name);

}  // namespace amt::training
