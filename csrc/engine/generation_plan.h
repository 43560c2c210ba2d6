// What a generation is asked for, and whether a decoder can do it; for the engine and for kernels/cuda.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "decoder_shape.h"
#include "grammar.h"
#include "named_values.h"
#include "search.h"
#include "search_options.h"
#include "state_features.h"

namespace amt::engine {

constexpr int64_t kMaxRows = 64;  // of a group; slots are bytes and bundles have a limit
constexpr int64_t kMaxGroups = 1 << 16;
constexpr int64_t kMaxDrafts = 64;
constexpr int64_t kMostCounted = std::numeric_limits<int32_t>::max();

// What a group attends to: the keys and values of one text, (num_cross_layers, 2, num_heads, len, head_dim) float32.
struct Memory {
  const float* keys_values;
  int64_t len;
  const uint8_t* mask;  // (len), 0 = may not attend; or nullptr
};

// One prompt's rows: greedy, its beams or some of its samples.
struct GroupPlan {
  int64_t memory = 0;  // index
  std::vector<int32_t> prefix;
  int64_t max_new_tokens = 1;
  uint64_t seed = 0;
  int64_t first_sequence = 0;    // of the prompt's samples, the number of row 0
  int64_t negative_memory = -1;  // index of what guidance leads away from; -1: no guidance. All groups or none.
  int64_t num_bars = 0;          // how many bars the music is to have, for state features; 0: unknown
  int64_t grammar = -1;          // index; -1: none. All groups or none.
  Before before;
  int64_t room = 0;  // for so many tokens behind the prefix there is room, see Generation::restart; 0: max_new_tokens

  int64_t capacity() const { return static_cast<int64_t>(prefix.size()) + std::max(max_new_tokens, room); }
};

// What a generation is asked for.
struct GenerationPlan {
  SearchOptions options;
  bool has_search = true;  // false: the caller chooses the tokens, with `logits`; only num_rows counts
  std::vector<int32_t> suppress_tokens, begin_suppress_tokens;
  std::vector<midi::Grammar> grammars;
  std::optional<midi::FeatureLayout> features;  // what the model reads of its tokens; see DecoderShape::reads_state
  std::vector<Memory> memories;                 // read by the constructor of Generation only
  std::vector<GroupPlan> groups;
  // With one row a prompt: each pass also runs up to so many tokens that followed when the last
  // max_matching_ngram_size (or fewer, at least 2) tokens stood there before. As many of them as are then chosen need
  // no pass of their own. 0: none.
  int64_t prompt_lookup_num_tokens = 0, max_matching_ngram_size = 2;
};

// See midi/named_values.h; the grammars, the memories and the groups come beside it.
template <typename Visitor>
void visit_fields(GenerationPlan& plan, Visitor& visit) {
  visit_fields(plan.options, visit);
  visit("has_search", plan.has_search);
  visit("suppress_tokens", plan.suppress_tokens);
  visit("begin_suppress_tokens", plan.begin_suppress_tokens);
  visit("prompt_lookup_num_tokens", plan.prompt_lookup_num_tokens);
  visit("max_matching_ngram_size", plan.max_matching_ngram_size);
}

inline void check(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

// What stands for each prompt, as lists with a number for each: see GroupPlan.
struct PromptLists {
  std::vector<int64_t> memory, prefix_len, max_new_tokens, first_sequence, negative_memory, num_bars, grammar;
  std::vector<int64_t> history_len, num_before, tokens_left, room;
  std::vector<uint64_t> seed;
};

template <typename Visitor>
void visit_fields(PromptLists& lists, Visitor& visit) {
  visit("memory", lists.memory);
  visit("prefix_len", lists.prefix_len);
  visit("max_new_tokens", lists.max_new_tokens);
  visit("first_sequence", lists.first_sequence);
  visit("negative_memory", lists.negative_memory);
  visit("num_bars", lists.num_bars);
  visit("grammar", lists.grammar);
  visit("history_len", lists.history_len);
  visit("num_before", lists.num_before);
  visit("tokens_left", lists.tokens_left);
  visit("room", lists.room);
  visit("seed", lists.seed);
}

struct TokenIds {
  const int32_t* first;
  int64_t size;
};

// prompts: a text of PromptLists; prefix_ids, history_ids: all prefixes and all histories.
inline void add_groups(const std::string& prompts, TokenIds prefix_ids, TokenIds history_ids, GenerationPlan& plan) {
  const auto lists = from_text<PromptLists>(prompts);
  const size_t num_prompts = lists.memory.size();
  for (const auto* list :
       {&lists.prefix_len, &lists.max_new_tokens, &lists.first_sequence, &lists.negative_memory, &lists.num_bars,
        &lists.grammar, &lists.history_len, &lists.num_before, &lists.tokens_left, &lists.room}) {
    check(list->size() == num_prompts, "the lists of prompts must have one length");
  }
  check(lists.seed.size() == num_prompts, "the lists of prompts must have one length");
  int64_t place = 0, history_place = 0;
  for (size_t index = 0; index < num_prompts; ++index) {
    const int64_t prefix_len = lists.prefix_len[index], history_len = lists.history_len[index];
    check(prefix_len >= 0 && prefix_len <= prefix_ids.size - place, "prefix_ids is shorter than the prefixes");
    check(history_len >= 0 && history_len <= history_ids.size - history_place,
          "history_ids is shorter than the histories");
    plan.groups.push_back({lists.memory[index],
                           {prefix_ids.first + place, prefix_ids.first + place + prefix_len},
                           lists.max_new_tokens[index],
                           lists.seed[index],
                           lists.first_sequence[index],
                           lists.negative_memory[index],
                           lists.num_bars[index],
                           lists.grammar[index],
                           {{history_ids.first + history_place, history_ids.first + history_place + history_len},
                            lists.num_before[index],
                            lists.tokens_left[index]},
                           lists.room[index]});
    place += prefix_len;
    history_place += history_len;
  }
}

inline void check_count(int64_t number, const std::string& name) {
  check(number >= 0 && number <= kMostCounted,
        name + " counts " + std::to_string(number) + " bars, sequences or tokens; counts are 0 to 2^31 - 1");
}

inline void check_prefix(const std::vector<int32_t>& prefix, int64_t vocab_size, const std::string& name) {
  for (const int32_t token : prefix) {
    check(token >= 0 && token < vocab_size, name + " has token " + std::to_string(token) +
                                                " in its prefix; ids are 0 to " + std::to_string(vocab_size - 1));
  }
}

// Throws std::invalid_argument, naming the prompt, if something does not fit.
inline void check_plan(const DecoderShape& shape, const GenerationPlan& plan) {
  shape.check();
  check(plan.options.num_rows >= 1 && plan.options.num_rows <= kMaxRows,
        "the engine runs 1 to " + std::to_string(kMaxRows) + " rows of a prompt, got " +
            std::to_string(plan.options.num_rows));
  check(!plan.groups.empty() && plan.groups.size() <= kMaxGroups, "there must be 1 to 65536 prompts");
  check(plan.prompt_lookup_num_tokens >= 0 && plan.prompt_lookup_num_tokens <= kMaxDrafts,
        "prompt_lookup_num_tokens must be 0 to " + std::to_string(kMaxDrafts) + ", got " +
            std::to_string(plan.prompt_lookup_num_tokens));
  check(plan.has_search || plan.groups.size() == 1, "without a search there is one group");
  check(plan.has_search || plan.groups[0].negative_memory < 0, "without a search there is no guidance");
  for (const Memory& memory : plan.memories) {
    check(memory.len >= 1 && memory.len <= shape.max_sequence_length, "a memory of " + std::to_string(memory.len) +
                                                                          " positions; the model takes 1 to " +
                                                                          std::to_string(shape.max_sequence_length));
  }
  for (size_t index = 0; index < plan.groups.size(); ++index) {
    const GroupPlan& group = plan.groups[index];
    const std::string name = "prompt " + std::to_string(index);
    const auto num_memories = static_cast<int64_t>(plan.memories.size());
    check(group.memory >= 0 && group.memory < num_memories, name + " has no memory");
    check(group.negative_memory >= -1 && group.negative_memory < num_memories, name + " has no negative memory");
    check((group.negative_memory >= 0) == (plan.groups[0].negative_memory >= 0),
          name + " differs from the first in whether it has a negative memory");
    check(!group.prefix.empty() || !plan.has_search, name + " has no prefix, not even bos");
    const int64_t prefix_len = static_cast<int64_t>(group.prefix.size());
    check(group.max_new_tokens >= 1 && prefix_len <= shape.max_sequence_length &&
              group.max_new_tokens <= shape.max_sequence_length - prefix_len,
          name + " would have " + std::to_string(prefix_len) + " + " + std::to_string(group.max_new_tokens) +
              " tokens; the model takes " + std::to_string(shape.max_sequence_length));
    check(group.room >= 0 && group.room <= shape.max_sequence_length - prefix_len,
          name + " would have room for " + std::to_string(prefix_len) + " + " + std::to_string(group.room) +
              " tokens; the model takes " + std::to_string(shape.max_sequence_length));
    for (const int64_t number :
         {group.num_bars, group.first_sequence, group.before.num_tokens, group.before.tokens_left}) {
      check_count(number, name);
    }
    check_prefix(group.prefix, shape.vocab_size, name);
  }
  for (const midi::Grammar& grammar : plan.grammars) {
    check(grammar.vocabulary().size() == shape.vocab_size,
          "the grammar knows " + std::to_string(grammar.vocabulary().size()) + " tokens, the model has " +
              std::to_string(shape.vocab_size));
  }
  for (const GroupPlan& asked : plan.groups) {
    check(plan.grammars.empty() ? asked.grammar == -1
                                : asked.grammar >= 0 && asked.grammar < static_cast<int64_t>(plan.grammars.size()),
          "there must be a grammar for each prompt, or for none");
  }

  const auto& features = plan.features;
  check(features.has_value() == shape.reads_state(), "state features are given if and only if the model has them");
  if (features) {
    check(features->vocabulary().size() == shape.vocab_size && features->num_columns() == shape.num_feature_columns,
          "the state features are " + std::to_string(features->num_columns()) + " columns of " +
              std::to_string(features->vocabulary().size()) + " tokens, the model has " +
              std::to_string(shape.num_feature_columns) + " of " + std::to_string(shape.vocab_size));
  }
}

}  // namespace amt::engine
