#include "generation.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <mutex>
#include <stdexcept>

namespace amt::engine {
namespace {

constexpr uint64_t kMagic = 0x31'52'45'4E'45'47'54'4D;  // "MTGENER1"
constexpr int64_t kPrefillRows = 64;                    // so many positions of prefixes are read in one pass
constexpr int64_t kMaxRows = 64;                        // of a group; slots are bytes and bundles have a limit
constexpr int64_t kMaxGroups = 1 << 16;
constexpr int64_t kMaxDrafts = 64;
constexpr int64_t kMostDraftingGroups = 2;  // of more, the products no longer wait for the weights: rows cost time
constexpr int64_t kMinNgram = 2;            // one equal token says little of the next

void check(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

}  // namespace

struct Generation::Header {
  uint64_t magic;
  int64_t bytes;
  DecoderShape shape;
  SearchOptions options;
  int64_t has_search, has_guidance, num_groups, grammar_offset, grammar_len, suppressed_offset, suppressed_len;
  int64_t num_drafts, max_ngram;
};

struct Generation::GroupRecord {
  int64_t prefix_len, capacity, memory_len, has_mask;
  int64_t num_positions;  // that the cache holds: of the prefix, and without a search of all
  int64_t trunk_len;
  int64_t prefix, search, ancestry, self, memory, mask;  // offsets in the block
  // With guidance: the same for the negative text; the rest is shared.
  int64_t negative_self, negative_memory, negative_memory_len, negative_has_mask, negative_mask;
};

namespace {

// Where the parts of the block lie; offsets are multiples of 64.
template <typename Header, typename GroupRecord>
struct Layout {
  int64_t size = 0;
  int64_t grammar = 0, suppressed = 0;
  std::vector<int64_t> memories, masks;
  std::vector<GroupRecord> groups;

  int64_t take(int64_t bytes) {
    const int64_t offset = size;
    size += round_up(bytes, 64);
    return offset;
  }

  Layout(const DecoderShape& shape, const GenerationPlan& plan) {
    const auto num_groups = static_cast<int64_t>(plan.groups.size());
    const int64_t position_bytes = 2 * shape.num_layers * shape.num_heads * shape.vector_bytes();
    take(sizeof(Header));
    take(num_groups * static_cast<int64_t>(sizeof(GroupRecord)));
    grammar = take(static_cast<int64_t>(plan.grammar.size()) * 8);
    suppressed = take(static_cast<int64_t>(plan.suppressed.size()));
    for (const Memory& memory : plan.memories) {
      memories.push_back(take(memory.len * position_bytes));
      masks.push_back(take(memory.mask ? memory.len : 0));
    }
    for (const GroupPlan& group : plan.groups) {
      const Memory& memory = plan.memories[group.memory];
      GroupRecord record{};
      record.prefix_len = static_cast<int64_t>(group.prefix.size());
      record.capacity = group.capacity();
      record.memory_len = memory.len;
      record.has_mask = memory.mask != nullptr;
      record.memory = memories[group.memory];
      record.mask = masks[group.memory];
      record.prefix = take(record.prefix_len * 4);
      const auto search_bytes =
          plan.has_search ? Search::bytes(plan.options, record.capacity, !plan.grammar.empty()) : size_t{0};
      record.search = take(static_cast<int64_t>(search_bytes));
      record.ancestry = take(plan.options.num_rows * record.capacity);
      record.self = take(plan.options.num_rows * record.capacity * position_bytes);
      if (group.negative_memory >= 0) {
        const Memory& negative = plan.memories[group.negative_memory];
        record.negative_self = take(plan.options.num_rows * record.capacity * position_bytes);
        record.negative_memory = memories[group.negative_memory];
        record.negative_memory_len = negative.len;
        record.negative_has_mask = negative.mask != nullptr;
        record.negative_mask = masks[group.negative_memory];
      }
      groups.push_back(record);
    }
  }
};

void check_plan(const DecoderShape& shape, const GenerationPlan& plan) {
  shape.check();
  check(plan.options.num_rows >= 1 && plan.options.num_rows <= kMaxRows,
        "the engine runs 1 to " + std::to_string(kMaxRows) + " rows of a prompt, got " +
            std::to_string(plan.options.num_rows));
  check(!plan.groups.empty() && plan.groups.size() <= kMaxGroups, "there must be 1 to 65536 prompts");
  check(plan.num_drafts >= 0 && plan.num_drafts <= kMaxDrafts,
        "there may be 0 to " + std::to_string(kMaxDrafts) + " drafts, got " + std::to_string(plan.num_drafts));
  check(plan.has_search || plan.groups.size() == 1, "without a search there is one group");
  check(plan.has_search || plan.groups[0].negative_memory < 0, "without a search there is no guidance");
  check(!plan.has_search || plan.options.vocab_size == shape.vocab_size, "vocab_size is not that of the weights");
  check(plan.suppressed.empty() || static_cast<int64_t>(plan.suppressed.size()) == shape.vocab_size,
        "suppressed must have a number for each token");
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
    check(group.max_new_tokens >= 1 && group.capacity() <= shape.max_sequence_length,
          name + " would have " + std::to_string(group.capacity()) + " tokens; the model takes " +
              std::to_string(shape.max_sequence_length));
    for (const int32_t token : group.prefix) {
      check(token >= 0 && token < shape.vocab_size, name + " has token " + std::to_string(token) +
                                                        " in its prefix; ids are 0 to " +
                                                        std::to_string(shape.vocab_size - 1));
    }
  }
}

}  // namespace

midi::Grammar make_grammar(const std::vector<int64_t>& numbers) {
  size_t place = 0;
  const auto next = [&]() {
    check(place < numbers.size(), "the numbers of the grammar end early");
    return numbers[place++];
  };
  const auto next_int = [&]() { return static_cast<int>(std::clamp<int64_t>(next(), -1, 1 << 30)); };
  midi::VocabularyConfig config;
  config.is_score = next() != 0;
  config.step_ms = next_int();
  config.steps_per_beat = next_int();
  config.max_time_shift = next_int();
  config.num_velocities = next_int();
  config.max_gap_steps = next();
  midi::Constraints constraints;
  constraints.max_polyphony = next();
  constraints.max_steps = next();
  constraints.tempo_index = next_int();
  constraints.time_signature_index = next_int();
  const int64_t num_tempos = next();
  for (int64_t i = 0; i < num_tempos; ++i) config.tempos_bpm.push_back(next_int());
  constraints.programs.reset();
  const int64_t num_programs = next();
  for (int64_t i = 0; i < num_programs; ++i) constraints.programs.set(static_cast<size_t>(next()));
  constraints.pitch_classes.reset();
  const int64_t num_pitch_classes = next();
  for (int64_t i = 0; i < num_pitch_classes; ++i) constraints.pitch_classes.set(static_cast<size_t>(next()));
  check(place == numbers.size(), "the grammar has more numbers than it takes");
  return midi::Grammar(midi::Vocabulary(config), constraints);
}

int64_t Generation::bytes(const DecoderShape& shape, const GenerationPlan& plan) {
  check_plan(shape, plan);
  return Layout<Header, GroupRecord>(shape, plan).size;
}

void Generation::start(const DecoderShape& shape, const GenerationPlan& plan, std::byte* block) {
  check_plan(shape, plan);
  const Layout<Header, GroupRecord> layout(shape, plan);
  Header header{};
  header.magic = kMagic;
  header.bytes = layout.size;
  header.shape = shape;
  header.options = plan.options;
  header.has_search = plan.has_search;
  header.has_guidance = plan.groups[0].negative_memory >= 0;
  header.num_drafts = plan.num_drafts;
  header.max_ngram = plan.max_ngram;
  header.num_groups = static_cast<int64_t>(plan.groups.size());
  header.grammar_offset = layout.grammar;
  header.grammar_len = static_cast<int64_t>(plan.grammar.size());
  header.suppressed_offset = layout.suppressed;
  header.suppressed_len = static_cast<int64_t>(plan.suppressed.size());
  std::copy(plan.suppressed.begin(), plan.suppressed.end(), reinterpret_cast<uint8_t*>(block + layout.suppressed));
  std::optional<midi::Grammar> grammar;
  if (!plan.grammar.empty()) {
    grammar = make_grammar(plan.grammar);
    check(grammar->vocabulary().size() == shape.vocab_size,
          "the grammar knows " + std::to_string(grammar->vocabulary().size()) + " tokens, the model has " +
              std::to_string(shape.vocab_size));
    std::copy(plan.grammar.begin(), plan.grammar.end(), reinterpret_cast<int64_t*>(block + layout.grammar));
  }
  const Kernels& kernels = find_kernels(nullptr);
  for (size_t index = 0; index < plan.memories.size(); ++index) {
    const Memory& memory = plan.memories[index];
    kernels.store(memory.keys_values, 2 * shape.num_layers * shape.num_heads * memory.len, shape.head_dim(),
                  shape.cache_type(), block + layout.memories[index]);
    if (memory.mask) std::memcpy(block + layout.masks[index], memory.mask, static_cast<size_t>(memory.len));
  }
  for (size_t index = 0; index < plan.groups.size(); ++index) {
    const GroupPlan& group = plan.groups[index];
    const GroupRecord& record = layout.groups[index];
    std::copy(group.prefix.begin(), group.prefix.end(), reinterpret_cast<int32_t*>(block + record.prefix));
    std::memset(block + record.ancestry, 0, static_cast<size_t>(plan.options.num_rows * record.capacity));
    if (plan.has_search) {
      Search search(plan.options, record.capacity, grammar ? &*grammar : nullptr, block + record.search);
      try {
        search.begin(group.prefix.data(), record.prefix_len, group.max_new_tokens, group.seed, group.first_sequence);
      } catch (const std::invalid_argument& error) {
        throw std::invalid_argument("prefix " + std::to_string(index) + " " + error.what());
      }
    }
  }
  std::memcpy(block + round_up(sizeof(Header), 64), layout.groups.data(), layout.groups.size() * sizeof(GroupRecord));
  std::memcpy(block, &header, sizeof header);
}

Generation::Generation(const PackedDecoder& weights, std::byte* block, int64_t size)
    : weights_(weights),
      block_(block),
      header_(reinterpret_cast<Header*>(block)),
      groups_(reinterpret_cast<GroupRecord*>(block + round_up(sizeof(Header), 64))) {
  check(size >= static_cast<int64_t>(sizeof(Header)) && header_->magic == kMagic && header_->bytes == size,
        "this is not the state of a generation; begin one with generation_start");
  check(header_->shape == weights.shape(), "this generation was begun with other weights");
  if (header_->grammar_len > 0) {
    const auto* numbers = reinterpret_cast<const int64_t*>(block + header_->grammar_offset);
    grammar_ = make_grammar({numbers, numbers + header_->grammar_len});
  }
  for (int64_t index = 0; index < header_->num_groups; ++index) {
    const GroupRecord& record = groups_[index];
    GroupCache cache{};
    cache.self = block + record.self;
    cache.num_slots = header_->options.num_rows;
    cache.capacity = record.capacity;
    cache.ancestry = reinterpret_cast<uint8_t*>(block + record.ancestry);
    cache.trunk_len = record.trunk_len;
    cache.memory = block + record.memory;
    cache.memory_len = record.memory_len;
    cache.memory_mask = record.has_mask ? reinterpret_cast<const uint8_t*>(block + record.mask) : nullptr;
    caches_.push_back(cache);
  }
  for (int64_t index = 0; header_->has_guidance && index < header_->num_groups; ++index) {
    const GroupRecord& record = groups_[index];
    GroupCache cache = caches_[index];
    cache.self = block + record.negative_self;
    cache.memory = block + record.negative_memory;
    cache.memory_len = record.negative_memory_len;
    cache.memory_mask =
        record.negative_has_mask ? reinterpret_cast<const uint8_t*>(block + record.negative_mask) : nullptr;
    caches_.push_back(cache);
  }
}

int64_t Generation::num_groups() const { return header_->num_groups; }

Search Generation::search(int64_t group) const {
  SearchOptions options = header_->options;  // the block may have moved
  options.suppressed =
      header_->suppressed_len ? reinterpret_cast<const uint8_t*>(block_ + header_->suppressed_offset) : nullptr;
  return {options, groups_[group].capacity, grammar_ ? &*grammar_ : nullptr, block_ + groups_[group].search};
}

int64_t Generation::num_rows() const { return header_->options.num_rows; }

int64_t Generation::prefix_len(int64_t group) const { return groups_[group].prefix_len; }

const int32_t* Generation::prefix(int64_t group) const {
  return reinterpret_cast<const int32_t*>(block_ + groups_[group].prefix);
}

// First every row that runs, then what is left of the prefixes, as far as there is room.
void Generation::plan_pass(int64_t max_rows, Pass& pass) {
  pass = {};
  int64_t num_running = 0;
  for (int64_t group = 0; group < num_groups(); ++group) num_running += search(group).is_done() ? 0 : 1;
  const int64_t num_caches = num_running * (header_->has_guidance ? 2 : 1);
  const bool has_drafts =
      header_->options.num_rows == 1 && header_->options.mode != Mode::kBeams && num_caches <= kMostDraftingGroups;
  for (int64_t group = 0; group < num_groups(); ++group) {
    const GroupRecord& record = groups_[group];
    const Search running = search(group);
    if (record.num_positions < record.prefix_len || running.is_done()) continue;
    const size_t first_row = pass.rows.size();
    pass.waiting.push_back({group, static_cast<int64_t>(pass.logits_rows.size())});
    const auto position = static_cast<int32_t>(running.length() - 1);
    for (int32_t row = 0; row < header_->options.num_rows; ++row) {
      if (!running.is_active(row)) continue;
      caches_[group].ancestry[row * record.capacity + position] = static_cast<uint8_t>(row);
      pass.logits_rows.push_back(static_cast<int32_t>(pass.rows.size()));
      pass.rows.push_back({running.last_token(row), position, static_cast<int32_t>(group), row});
    }
    if (has_drafts) add_drafts(group, running, pass);
    if (header_->has_guidance) add_negatives(first_row, true, pass);
  }
  const int64_t num_texts = header_->has_guidance ? 2 : 1;
  for (int64_t group = 0; group < num_groups(); ++group) {
    GroupRecord& record = groups_[group];
    const size_t first_row = pass.rows.size();
    const int64_t room = (max_rows - static_cast<int64_t>(first_row)) / num_texts;
    const int64_t num_read = std::min(record.prefix_len - record.num_positions, room);
    if (num_read <= 0) continue;
    for (int64_t index = 0; index < num_read; ++index) {
      const auto position = static_cast<int32_t>(record.num_positions++);
      pass.rows.push_back({prefix(group)[position], position, static_cast<int32_t>(group), 0});
    }
    const bool waits = record.num_positions == record.prefix_len;
    if (waits) {
      pass.waiting.push_back({group, static_cast<int64_t>(pass.logits_rows.size())});
      pass.logits_rows.push_back(static_cast<int32_t>(pass.rows.size()) - 1);
    }
    if (header_->has_guidance) add_negatives(first_row, waits, pass);
  }
}

// The rows of a group once more, under its negative text. waits: the group waits for logits.
void Generation::add_negatives(size_t first_row, bool waits, Pass& pass) const {
  const size_t last_row = pass.rows.size();
  const auto way = static_cast<int32_t>(last_row - first_row);
  for (size_t index = first_row; index < last_row; ++index) {
    Row row = pass.rows[index];
    row.group += static_cast<int32_t>(num_groups());
    pass.rows.push_back(row);
  }
  if (!waits) return;
  const auto last_logits = static_cast<int64_t>(pass.logits_rows.size());
  pass.waiting.back().first_negative = last_logits;
  for (int64_t index = pass.waiting.back().first_logits; index < last_logits; ++index) {
    pass.logits_rows.push_back(pass.logits_rows[index] + way);
  }
}

// Rows for what followed the last time that the sequence's last tokens stood in it.
void Generation::add_drafts(int64_t group, const Search& running, Pass& pass) const {
  const int32_t* tokens = running.result_tokens(0);
  const int64_t length = running.result_length(0);
  const int64_t room = std::min(header_->num_drafts, groups_[group].capacity - length - 1);
  if (room <= 0) return;
  for (int64_t ngram = std::min(header_->max_ngram, length - 1); ngram >= kMinNgram; --ngram) {
    const int32_t* last = tokens + length - ngram;
    for (int64_t first = length - ngram - 1; first >= 0; --first) {  // the latest is the likeliest
      if (!std::equal(last, last + ngram, tokens + first)) continue;
      const int64_t num = std::min(room, length - ngram - first);
      for (int64_t draft = 0; draft < num; ++draft) {
        pass.logits_rows.push_back(static_cast<int32_t>(pass.rows.size()));
        pass.rows.push_back(
            {tokens[first + ngram + draft], static_cast<int32_t>(length + draft), static_cast<int32_t>(group), 0});
      }
      pass.waiting.back().num_drafts = num;
      return;
    }
  }
}

// Lets the search of a group take its logits, and its rows follow the search.
void Generation::choose(const Pass& pass, const Pass::Waiting& waiting, const Decoder& decoder, const Kernels& kernels,
                        float* scratch, bool is_last) {
  Search running = search(waiting.group);
  const int64_t num_rows = header_->options.num_rows, stride = decoder.logits_stride();
  const int64_t num_positions = running.length();
  int64_t num_active = 0, last_active = -1;
  for (int64_t row = 0; row < num_rows; ++row) {
    if (!running.is_active(row)) continue;
    ++num_active;
    last_active = row;
  }
  // Rows that have ended leave gaps that the decoder's logits do not have.
  const auto with_gaps = [&](int64_t first_logits, float* spread) {
    if (num_active == last_active + 1) return decoder.logits(first_logits);
    for (int64_t row = 0, place = 0; row < num_rows; ++row) {
      if (running.is_active(row)) std::copy_n(decoder.logits(first_logits + place++), stride, spread + row * stride);
    }
    return static_cast<const float*>(spread);
  };
  const bool has_guidance = header_->has_guidance != 0;
  float* spread = scratch + 4 * stride;
  const float* logits = with_gaps(waiting.first_logits, spread);
  const float* negative = has_guidance ? with_gaps(waiting.first_negative, spread + num_rows * stride) : nullptr;
  running.step(logits, negative, stride, kernels, scratch, is_last);
  for (int64_t draft = 1; draft <= waiting.num_drafts && !running.is_done(); ++draft) {
    const int64_t index = waiting.first_logits + draft;
    if (running.last_token(0) != pass.rows[pass.logits_rows[index]].token) break;
    negative = has_guidance ? decoder.logits(waiting.first_negative + draft) : nullptr;
    running.step(decoder.logits(index), negative, stride, kernels, scratch, is_last);
  }
  if (running.is_done() || num_rows == 1) return;
  // A row that does not run follows one that does, so that every row's ancestry stays true.
  std::vector<int32_t> parents(static_cast<size_t>(num_rows), -1);
  int32_t some_parent = 0;
  for (int32_t row = static_cast<int32_t>(num_rows) - 1; row >= 0; --row) {
    if (running.is_active(row)) parents[row] = some_parent = running.parent(row);
  }
  for (int32_t& parent : parents) parent = parent < 0 ? some_parent : parent;
  reorder(waiting.group, parents, num_positions);
}

void Generation::reorder(int64_t group, const std::vector<int32_t>& parents, int64_t num_positions) {
  GroupCache& cache = caches_[group];
  const auto num_rows = static_cast<int64_t>(parents.size());
  const int64_t first = cache.trunk_len, count = num_positions - first;
  std::vector<uint8_t> before(static_cast<size_t>(num_rows * count));
  for (int64_t row = 0; row < num_rows; ++row) {
    std::copy_n(cache.ancestry + row * cache.capacity + first, count, before.data() + row * count);
  }
  for (int64_t row = 0; row < num_rows; ++row) {
    std::copy_n(before.data() + parents[row] * count, count, cache.ancestry + row * cache.capacity + first);
  }
  const auto is_shared = [&](int64_t position) {
    for (int64_t row = 1; row < num_rows; ++row) {
      if (cache.ancestry[row * cache.capacity + position] != cache.ancestry[position]) return false;
    }
    return true;
  };
  while (cache.trunk_len < num_positions && is_shared(cache.trunk_len)) ++cache.trunk_len;
  groups_[group].trunk_len = cache.trunk_len;
  if (header_->has_guidance) caches_[group + num_groups()].trunk_len = cache.trunk_len;
}

Progress Generation::run(const Kernels& kernels, int64_t num_threads, int64_t max_steps, int64_t max_ms, bool is_last) {
  check(header_->has_search, "this generation has no search; use generation_append");
  num_threads = std::max<int64_t>(1, num_threads);
  const int64_t num_rows = header_->options.num_rows;
  int64_t num_unread = 0;  // positions of prefixes
  for (int64_t group = 0; group < num_groups(); ++group) {
    num_unread += std::max<int64_t>(0, groups_[group].prefix_len - groups_[group].num_positions);
  }
  const auto num_caches = static_cast<int64_t>(caches_.size());
  const int64_t num_drafts = kMostDraftingGroups * header_->num_drafts;
  const int64_t max_rows =
      std::max(num_caches * num_rows + num_drafts, std::min(num_unread * num_caches / num_groups(), kPrefillRows));
  int64_t max_len = 1;
  for (const GroupCache& cache : caches_) max_len = std::max({max_len, cache.capacity, cache.memory_len});
  Decoder decoder(weights_, kernels, max_rows, max_len, num_threads);
  const int64_t scratch_size = (4 + 2 * num_rows) * decoder.logits_stride();
  AlignedVector<float> scratch(num_threads * scratch_size);

  Pass pass;
  Progress progress{};
  std::mutex failure_mutex;
  std::exception_ptr failure;
  const auto began = std::chrono::steady_clock::now();
  bool goes_on = true;
  run_team(num_threads, [&](const Member& member) {
    for (;;) {
      if (member.index == 0) {
        const auto elapsed = std::chrono::steady_clock::now() - began;
        goes_on = !failure && progress.num_steps < max_steps &&
                  (progress.num_steps == 0 || elapsed < std::chrono::milliseconds(max_ms));
        if (goes_on) {
          plan_pass(max_rows, pass);
          goes_on = !pass.rows.empty();
        }
        if (goes_on) {
          decoder.prepare(caches_.data(), pass.rows, pass.logits_rows);
          ++progress.num_steps;
        }
      }
      member.wait();
      if (!goes_on) return;
      if (member.index == 0) decoder.watch.lap(decoder.times.choice);
      decoder.run(member);
      for (auto index = static_cast<size_t>(member.index); index < pass.waiting.size();
           index += static_cast<size_t>(member.num_threads)) {
        try {
          choose(pass, pass.waiting[index], decoder, kernels, scratch.data() + member.index * scratch_size, is_last);
        } catch (...) {
          const std::lock_guard<std::mutex> lock(failure_mutex);
          if (!failure) failure = std::current_exception();
        }
      }
      member.wait();
    }
  });
  if (failure) std::rethrow_exception(failure);
  decoder.watch.lap(decoder.times.choice);
  progress.times = decoder.times;
  progress.is_done = true;
  for (int64_t group = 0; group < num_groups(); ++group) {
    const Search running = search(group);
    progress.is_done &= running.is_done();
    progress.num_tokens += running.length() - groups_[group].prefix_len;
  }
  return progress;
}

void Generation::append(const Kernels& kernels, int64_t num_threads, const int32_t* parents, const int32_t* tokens,
                        int64_t num_tokens, float* logits) {
  check(!header_->has_search, "this generation has a search; use generation_run");
  GroupRecord& record = groups_[0];
  GroupCache& cache = caches_[0];
  const int64_t num_rows = header_->options.num_rows, vocab_size = header_->shape.vocab_size;
  check(num_tokens >= 1 && record.num_positions + num_tokens <= record.capacity,
        std::to_string(record.num_positions + num_tokens) + " tokens are more than the " +
            std::to_string(record.capacity) + " that this generation has room for");
  for (int64_t index = 0; index < num_rows * num_tokens; ++index) {
    check(tokens[index] >= 0 && tokens[index] < vocab_size,
          "token ids are 0 to " + std::to_string(vocab_size - 1) + ", got " + std::to_string(tokens[index]));
  }
  for (int64_t row = 0; row < num_rows; ++row) {
    check(parents[row] >= 0 && parents[row] < num_rows, "parents are 0 to " + std::to_string(num_rows - 1));
  }
  num_threads = std::max<int64_t>(1, num_threads);
  reorder(0, {parents, parents + num_rows}, record.num_positions);
  const int64_t max_rows = std::max(num_rows, kPrefillRows);
  Decoder decoder(weights_, kernels, max_rows, std::max(cache.capacity, cache.memory_len), num_threads);
  for (int64_t first = 0; first < num_tokens;) {
    const int64_t count = std::min(num_tokens - first, max_rows / num_rows);
    std::vector<Row> rows;
    std::vector<int32_t> logits_rows;
    for (int64_t index = first; index < first + count; ++index) {
      const auto position = static_cast<int32_t>(record.num_positions + index);
      for (int32_t row = 0; row < num_rows; ++row) {
        cache.ancestry[row * cache.capacity + position] = static_cast<uint8_t>(row);
        logits_rows.push_back(static_cast<int32_t>(rows.size()));
        rows.push_back({tokens[row * num_tokens + index], position, 0, row});
      }
    }
    decoder.prepare(caches_.data(), rows, logits_rows);
    run_team(num_threads, [&](const Member& member) { decoder.run(member); });
    for (int64_t index = 0; index < count; ++index) {
      for (int64_t row = 0; row < num_rows; ++row) {
        std::copy_n(decoder.logits(index * num_rows + row), vocab_size,
                    logits + (row * num_tokens + first + index) * vocab_size);
      }
    }
    first += count;
  }
  record.num_positions += num_tokens;
}

}  // namespace amt::engine
