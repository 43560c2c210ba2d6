// A batch of prompts on its way from prefix to result: prefixes, caches and searches in one block of bytes, and the
// loop that advances them. The block may be copied, kept, and gone on with later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "decoder.h"
#include "grammar.h"
#include "search.h"

namespace amt::engine {

// What a group attends to: the keys and values of one text, (num_layers, 2, num_heads, len, head_dim) float32.
struct Memory {
  const float* keys_values;
  int64_t len;
  const uint8_t* mask;  // (len), 0 = may not attend; or nullptr
};

// One prompt's rows: greedy, its beams or some of its samples.
struct GroupPlan {
  int64_t memory;  // index
  std::vector<int32_t> prefix;
  int64_t max_new_tokens;
  uint64_t seed;
  int64_t first_sequence;        // of the prompt's samples, the number of row 0
  int64_t negative_memory = -1;  // index of what guidance leads away from; -1: no guidance. All groups or none.

  int64_t capacity() const { return static_cast<int64_t>(prefix.size()) + max_new_tokens; }
};

struct GenerationPlan {
  SearchOptions options;
  bool has_search = true;           // false: the caller chooses the tokens, with `logits`; only num_rows counts
  std::vector<int64_t> grammar;     // see `make_grammar`; empty: none
  std::vector<uint8_t> suppressed;  // (vocab_size), see SearchOptions, or empty
  std::vector<Memory> memories;
  std::vector<GroupPlan> groups;
  // With one row a prompt: each pass also runs up to so many tokens that followed when the last max_ngram (or fewer, at
  // least 2) tokens stood there before. As many of them as are then chosen need no pass of their own. 0: none.
  int64_t num_drafts = 0, max_ngram = 2;
};

// The grammar that these numbers describe: is_score, step_ms, steps_per_beat, max_time_shift, num_velocities,
// max_gap_steps, max_polyphony, max_steps, tempo_index, time_signature_index (-1 = free), then counts and members of:
// tempos_bpm, programs, pitch_classes. Throws std::invalid_argument.
midi::Grammar make_grammar(const std::vector<int64_t>& numbers);

struct Progress {
  int64_t num_steps;   // passes made in this call
  int64_t num_tokens;  // new tokens so far, of the longest row of each group, summed over groups
  bool is_done;
  StageTimes times;  // of this call
};

class Generation {
 public:
  static int64_t bytes(const DecoderShape& shape, const GenerationPlan& plan);
  // Throws std::invalid_argument, naming the prompt, if something does not fit.
  static void start(const DecoderShape& shape, const GenerationPlan& plan, std::byte* block);

  // Throws std::invalid_argument if the block does not belong to these weights.
  Generation(const PackedDecoder& weights, std::byte* block, int64_t size);

  // At most max_steps passes, and none that begins later than max_ms after the first. is_last: every group that gets
  // its logits takes its last step, see Search::step; one that has its prefix to read gets them when it has. Throws
  // DecodingError; what had been decoded before can still be read.
  Progress run(const Kernels& kernels, int64_t num_threads, int64_t max_steps, int64_t max_ms, bool is_last = false);

  // Without a search: row r of the only group becomes a copy of row parents[r], then takes tokens (num_rows,
  // num_tokens). Their logits go to `logits` (num_rows, num_tokens, vocab_size).
  void append(const Kernels& kernels, int64_t num_threads, const int32_t* parents, const int32_t* tokens,
              int64_t num_tokens, float* logits);

  int64_t num_groups() const;
  int64_t num_rows() const;  // of each group
  int64_t prefix_len(int64_t group) const;
  Search search(int64_t group) const;

 private:
  struct Header;
  struct GroupRecord;
  // The rows of one pass and who waits for their logits.
  struct Pass {
    std::vector<Row> rows;
    std::vector<int32_t> logits_rows;
    struct Waiting {
      int64_t group, first_logits;
      int64_t num_drafts = 0;      // rows behind the first, each at the next position
      int64_t first_negative = 0;  // with guidance, the logits of the same rows under the negative text
    };
    std::vector<Waiting> waiting;
  };

  const int32_t* prefix(int64_t group) const;
  void plan_pass(int64_t max_rows, Pass& pass);
  void add_drafts(int64_t group, const Search& running, Pass& pass) const;
  void add_negatives(size_t first_row, bool waits, Pass& pass) const;
  void choose(const Pass& pass, const Pass::Waiting& waiting, const Decoder& decoder, const Kernels& kernels,
              float* scratch, bool is_last);
  void reorder(int64_t group, const std::vector<int32_t>& parents, int64_t num_positions);

  const PackedDecoder& weights_;
  std::byte* block_;
  Header* header_;
  GroupRecord* groups_;
  std::optional<midi::Grammar> grammar_;
  std::vector<GroupCache> caches_;  // of all groups; with guidance then those of the same rows under the negative texts
};

}  // namespace amt::engine
