// A batch of prompts on a GPU on its way from prefix to result. What it must equal: csrc/engine/generation.h, with the
// same plan; of a search the block of memory lies on the GPU, and a view on the CPU reads a copy of it.
//
// First all prefixes are read but for their last tokens (prefixes.h). A step then is a row of kernels: what runs
// (plan.cu), the decoder, the choice (choose.cu). Nothing of it waits for the CPU, so that a step is captured once and
// then repeated (step_graph.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "choose.h"
#include "decoder.h"
#include "generation_plan.h"
#include "memory.h"
#include "plan.h"
#include "prefixes.h"
#include "search.h"
#include "step_graph.h"

namespace amt::cuda {

struct Progress {
  int64_t num_tokens;  // new tokens so far, of the longest row of each prompt, summed
  bool is_done;
};

class Generation {
 public:
  // Throws std::invalid_argument, naming the prompt, if something does not fit; OutOfMemory with what to lower.
  // memories: of plan.memories the keys and values lie in the GPU's memory, the masks on the CPU. may_loop: steps may
  // run in a loop on the GPU, if it has them.
  Generation(const DeviceDecoder& decoder, engine::GenerationPlan plan, bool may_loop);

  // At most max_steps steps, of which reading all prefixes is one; is_last as of engine::Generation. Throws
  // engine::DecodingError; what had been decoded before can still be read.
  Progress run(int64_t max_steps, bool is_last);

  // A copy of a prompt's search as it is now.
  engine::Search search(int64_t prompt);

  // Whether its steps ran in a loop on the GPU.
  bool has_looped() const { return graph_.is_loop(); }

  int64_t num_prompts() const { return static_cast<int64_t>(groups_.size()); }
  int64_t num_rows() const { return options_.num_rows; }
  int64_t prefix_len(int64_t prompt) const { return groups_[static_cast<size_t>(prompt)].prefix_len; }

 private:
  struct Group {
    int64_t prefix_len, capacity, grammar;
    size_t search_bytes;
    int64_t search;               // where it lies in the block
    std::vector<std::byte> copy;  // of the search, on the CPU
  };

  engine::Search view(Group& group) const;
  void send_prompts(const engine::GenerationPlan& plan);
  void send_features(const engine::GenerationPlan& plan, midi::FeatureTrack* tracks, uint64_t* lists);
  void send_memories(const engine::GenerationPlan& plan);
  void read_prefixes();
  void step();

  const DeviceDecoder& decoder_;
  engine::SearchOptions options_;
  bool may_loop_;
  std::vector<uint8_t> suppressed_;
  std::vector<midi::Grammar> grammars_;
  std::optional<midi::FeatureLayout> features_;
  std::vector<Group> groups_;
  Stream stream_;
  DeviceBlock block_;
  Plan plan_{};
  Pass pass_{};
  Choose choose_{};
  // Where things lie that the prompts point to.
  struct Places {
    int64_t suppressed, grammars, features, feature_values, tracks, lists;
  };
  Places places_{};
  int64_t list_words_ = 0, memory_len_ = 0;
  Prefixes prefixes_;
  bool has_read_prefixes_ = false;
  StepGraph graph_;
};

}  // namespace amt::cuda
