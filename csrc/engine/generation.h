// A batch of prompts on its way from prefix to result: their prefixes, caches and searches, and the loop that advances
// them. Grammar, buffers and threads live as long as it does, so that a step costs the same in a run of many.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "aligned.h"
#include "decoder.h"
#include "generation_plan.h"
#include "grammar.h"
#include "kept_blocks.h"
#include "search.h"
#include "state_features.h"
#include "team.h"

namespace amt::engine {

struct Progress {
  int64_t num_steps;   // passes made in this call
  int64_t num_tokens;  // new tokens so far, of the longest row of each group, summed over groups
  bool is_done;
  StageTimes times;  // of this call
};

// Where a group stands.
struct GroupStatus {
  int64_t num_new_tokens;  // of its first row
  bool is_done;
  FinishReason reason;  // of its first row
  std::string failure;  // what went wrong; only after a join, where it ends no other group
};

class Generation {
 public:
  // packed: the weights, which must stay where they are. Throws std::invalid_argument, naming the prompt, if something
  // does not fit.
  Generation(const PackedDecoder& weights, GenerationPlan plan);
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // At most max_steps passes, and none that begins later than max_ms after the first. is_last: every group that gets
  // its logits takes its last step, see Search::step; one that has its prefix to read gets them when it has. Throws
  // DecodingError; what had been decoded before can still be read.
  Progress run(const Kernels& kernels, int64_t num_threads, int64_t max_steps, int64_t max_ms, bool is_last = false);

  // Without a search: row r of the only group becomes a copy of row parents[r], then takes tokens (num_rows,
  // num_tokens). Their logits go to `logits` (num_rows, num_tokens, vocab_size).
  void append(const Kernels& kernels, int64_t num_threads, const int32_t* parents, const int32_t* tokens,
              int64_t num_tokens, float* logits);

  // Takes over all groups of another generation of the same weights (which the caller sees to): they stand behind those
  // that are here, and `other` has none left. Options may differ in all but mode, rows and whether there is guidance.
  // What a group is to come to does not change. Throws std::invalid_argument if the two do not go together.
  void join(Generation& other);
  // A group that is done begins anew, as one with this prefix would (see GroupPlan), but faster: the cache keeps the
  // positions that the prefix has in common with one of its rows. Not with beams. Throws std::invalid_argument if
  // something does not fit.
  void restart(int64_t group, const std::vector<int32_t>& prefix, int64_t max_new_tokens, int64_t first_sequence,
               const Before& before);
  // Forgets a group, done or not, and all memory that is its own; those behind it move up.
  void leave(int64_t group);
  GroupStatus status(int64_t group) const;

  const DecoderShape& shape() const { return weights_.shape(); }
  int64_t num_groups() const { return static_cast<int64_t>(groups_.size()); }
  int64_t num_rows() const { return options_.num_rows; }  // of each group
  int64_t prefix_len(int64_t group) const { return groups_[group].prefix_len; }
  Search search(int64_t group) const;

 private:
  // What the groups of a plan point into; it lives as long as one of them.
  struct Home {
    std::vector<midi::Grammar> grammars;
    std::optional<midi::FeatureLayout> features;
    std::vector<uint8_t> suppressed;
    KeptBlocks::Block block;  // prefixes, searches, caches and masks

    Home() = default;
    Home(const Home&) = delete;
    Home& operator=(const Home&) = delete;
    ~Home() { free(); }
    void free() { KeptBlocks::of_process().keep(std::exchange(block, {})); }
  };
  struct Group {
    int64_t prefix_len, capacity;
    int64_t num_positions = 0;       // that the cache holds: of the prefix, and without a search of all
    int64_t prefix = 0, search = 0;  // where they lie in the block
    int64_t grammar = -1;            // index
    uint64_t seed = 0;
    int64_t num_bars = 0;
    SearchOptions options;
    std::shared_ptr<Home> home;
    std::string failure;  // why it stopped
  };
  // The rows of one pass and who waits for their logits.
  struct Pass {
    std::vector<Row> rows;
    std::vector<int32_t> logits_rows;
    std::vector<WeightedRow> features;
    struct Waiting {
      int64_t group, first_logits;
      int64_t num_drafts = 0;      // rows behind the first, each at the next position
      int64_t first_negative = 0;  // with guidance, the logits of the same rows under the negative text
    };
    std::vector<Waiting> waiting;
  };
  // What passes work with, made by the first.
  struct Workshop {
    Workshop(const PackedDecoder& weights, const Kernels& kernels, int64_t max_rows, int64_t max_len,
             int64_t num_threads, int64_t num_scratch_rows)
        : kernels(kernels),
          max_rows(max_rows),
          max_len(max_len),
          num_threads(num_threads),
          decoder(weights, kernels, max_rows, max_len, num_threads),
          scratch_stride(num_scratch_rows * decoder.logits_stride()),
          scratch(num_threads * scratch_stride),
          team(num_threads) {}

    const Kernels& kernels;
    int64_t max_rows, max_len, num_threads;
    Decoder decoder;
    int64_t scratch_stride;  // of a thread
    AlignedVector<float> scratch;
    Team team;
  };

  Workshop& workshop(const Kernels& kernels, int64_t num_threads, int64_t max_rows);
  const int32_t* prefix(int64_t group) const;
  void plan_pass(int64_t max_rows, Pass& pass);
  void add_row(const Row& row, midi::FeatureState* state, Pass& pass);
  // The state of a row before its next token; nullptr if the model reads none.
  midi::FeatureState* state(int64_t group, int64_t row) { return home_->features ? &states_[group][row] : nullptr; }
  bool is_done(int64_t group) const { return !groups_[group].failure.empty() || search(group).is_done(); }
  void add_drafts(int64_t group, const Search& running, Pass& pass);
  void add_negatives(size_t first_row, bool waits, Pass& pass) const;
  void choose(const Pass& pass, const Pass::Waiting& waiting, const Workshop& workshop, float* scratch, bool is_last);
  void reorder(int64_t group, const std::vector<int32_t>& parents, int64_t num_positions);

  const PackedDecoder weights_;
  SearchOptions options_;
  bool has_search_, has_guidance_;
  int64_t num_drafts_, max_ngram_;
  bool is_shared_ = false;                               // whether another has joined
  std::shared_ptr<Home> home_;                           // of the plan
  std::vector<std::vector<midi::FeatureState>> states_;  // of each row of each group: it has taken what the cache holds
  std::vector<midi::FeatureEntry> entries_;              // room for those of one row
  std::vector<Group> groups_;
  std::vector<GroupCache> caches_;  // of all groups; with guidance then those of the same rows under the negative texts
  std::unique_ptr<Workshop> workshop_;
  Pass pass_;
};

}  // namespace amt::engine
