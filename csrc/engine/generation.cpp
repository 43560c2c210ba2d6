#include "generation.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <iterator>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <tuple>

namespace amt::engine {
namespace {

constexpr int64_t kPrefillRows = 64;           // so many positions of prefixes are read in one pass
constexpr int64_t kMostDraftingGroups = 2;     // beyond two, matrix products are bound by arithmetic: rows cost time
constexpr int64_t kMinNgram = 2;               // one equal token says little of the next
constexpr int64_t kMostMs = int64_t{1} << 40;  // so that nanoseconds fit, too

// Hands out parts of a block; offsets are multiples of 64.
class Layout {
 public:
  int64_t take(int64_t bytes) {
    if (bytes > kMostBytes - size_) throw std::bad_alloc();
    const int64_t offset = size_;
    size_ += round_up(bytes, 64);
    return offset;
  }
  int64_t size() const { return size_; }

 private:
  static constexpr int64_t kMostBytes = int64_t{1} << 46;

  int64_t size_ = 0;
};

// Lets the state of an only row take the drafts that were chosen: all tokens but the last, which its next row takes.
void take_drafts(const Search& running, midi::FeatureState& state) {
  while (state.num_tokens() < running.length() - 1) state.advance(running.result_tokens(0)[state.num_tokens()]);
}

// Row r's state becomes a copy of that of row parents[r].
void follow(const std::vector<int32_t>& parents, std::vector<midi::FeatureState>& states) {
  bool is_same = true;
  for (size_t row = 0; row < parents.size(); ++row) is_same &= parents[row] == static_cast<int32_t>(row);
  if (is_same) return;
  const std::vector<midi::FeatureState> before = states;
  for (size_t row = 0; row < parents.size(); ++row) states[row] = before[static_cast<size_t>(parents[row])];
}

}  // namespace

Generation::Generation(const PackedDecoder& weights, GenerationPlan plan)
    : weights_(weights),
      options_(plan.options),
      has_search_(plan.has_search),
      num_drafts_(plan.prompt_lookup_num_tokens),
      max_ngram_(plan.max_matching_ngram_size),
      home_(std::make_shared<Home>()) {
  const DecoderShape& shape = weights_.shape();
  check_plan(shape, plan);
  home_->grammars = std::move(plan.grammars);
  home_->features = std::move(plan.features);
  const auto& grammars = home_->grammars;
  const auto& features = home_->features;
  options_.vocab_size = static_cast<int32_t>(shape.vocab_size);
  has_guidance_ = plan.groups[0].negative_memory >= 0;
  home_->suppressed = suppressed_flags(plan.suppress_tokens, plan.begin_suppress_tokens, shape.vocab_size);
  options_.suppressed = home_->suppressed.empty() ? nullptr : home_->suppressed.data();
  if (features) {
    entries_.resize(static_cast<size_t>(features->max_entries()));
    for (const GroupPlan& asked : plan.groups) {
      states_.emplace_back(static_cast<size_t>(options_.num_rows), midi::FeatureState(*features, asked.num_bars));
    }
  }

  Layout layout;
  const int64_t num_rows = options_.num_rows;
  const int64_t layer_bytes = 2 * shape.num_heads * shape.vector_bytes();  // of one position
  const int64_t position_bytes = shape.num_layers * layer_bytes;
  std::vector<int64_t> memories, masks;
  for (const Memory& memory : plan.memories) {
    memories.push_back(layout.take(memory.len * shape.num_cross_layers() * layer_bytes));
    masks.push_back(layout.take(memory.mask ? memory.len : 0));
  }
  struct Places {
    int64_t ancestry, self, negative_self;
  };
  std::vector<Places> places;
  for (const GroupPlan& asked : plan.groups) {
    Group group{static_cast<int64_t>(asked.prefix.size()), asked.capacity()};
    group.prefix = layout.take(group.capacity * 4);
    group.grammar = asked.grammar;
    group.seed = asked.seed;
    group.num_bars = asked.num_bars;
    group.options = options_;
    group.home = home_;
    const size_t search_bytes = has_search_ ? Search::bytes(options_, group.capacity, !grammars.empty()) : 0;
    group.search = layout.take(static_cast<int64_t>(search_bytes));
    const int64_t self_bytes = num_rows * group.capacity * position_bytes;
    places.push_back(
        {layout.take(num_rows * group.capacity), layout.take(self_bytes), layout.take(has_guidance_ ? self_bytes : 0)});
    groups_.push_back(group);
  }
  KeptBlocks::Block& block = home_->block;
  block = KeptBlocks::of_process().take(layout.size());

  const Kernels& kernels = find_kernels(nullptr);
  for (size_t index = 0; index < plan.memories.size(); ++index) {
    const Memory& memory = plan.memories[index];
    kernels.store(memory.keys_values, 2 * shape.num_cross_layers() * shape.num_heads * memory.len, shape.head_dim(),
                  shape.cache_type(), block.data() + memories[index]);
    if (memory.mask) std::memcpy(block.data() + masks[index], memory.mask, static_cast<size_t>(memory.len));
  }
  const auto cache_of = [&](const Group& group, const Places& place, int64_t self, int64_t memory) {
    GroupCache cache{};
    cache.self = block.data() + self;
    cache.num_slots = num_rows;
    cache.capacity = group.capacity;
    cache.ancestry = reinterpret_cast<uint8_t*>(block.data() + place.ancestry);
    cache.memory = block.data() + memories[memory];
    cache.memory_len = plan.memories[memory].len;
    cache.memory_mask =
        plan.memories[memory].mask ? reinterpret_cast<const uint8_t*>(block.data() + masks[memory]) : nullptr;
    return cache;
  };
  for (size_t index = 0; index < groups_.size(); ++index) {
    caches_.push_back(cache_of(groups_[index], places[index], places[index].self, plan.groups[index].memory));
  }
  for (size_t index = 0; has_guidance_ && index < groups_.size(); ++index) {
    caches_.push_back(
        cache_of(groups_[index], places[index], places[index].negative_self, plan.groups[index].negative_memory));
  }
  for (size_t index = 0; index < groups_.size(); ++index) {
    const GroupPlan& asked = plan.groups[index];
    std::copy(asked.prefix.begin(), asked.prefix.end(),
              reinterpret_cast<int32_t*>(block.data() + groups_[index].prefix));
    std::memset(block.data() + places[index].ancestry, 0, static_cast<size_t>(num_rows * groups_[index].capacity));
    if (!has_search_) continue;
    try {
      search(static_cast<int64_t>(index))
          .begin(asked.prefix.data(), groups_[index].prefix_len, asked.max_new_tokens, asked.seed, asked.first_sequence,
                 asked.before);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("prefix " + std::to_string(index) + " " + error.what());
    }
  }
}

Search Generation::search(int64_t group) const {
  check(has_search_, "this generation has no search, so it has no results; use generation_append");
  const Group& record = groups_[group];
  auto* memory = record.home->block.data() + record.search;  // a view: what it says is the search's
  const auto grammar = static_cast<size_t>(record.grammar);
  return {record.options, record.capacity, record.grammar < 0 ? nullptr : &record.home->grammars[grammar], memory};
}

Generation::Workshop& Generation::workshop(const Kernels& kernels, int64_t num_threads, int64_t max_rows) {
  int64_t max_len = is_shared_ ? weights_.shape().max_sequence_length : 1;  // whoever joins later has room, too
  for (const GroupCache& cache : caches_) max_len = std::max({max_len, cache.capacity, cache.memory_len});
  if (!workshop_ || &workshop_->kernels != &kernels || workshop_->num_threads < num_threads ||
      workshop_->max_rows < max_rows || workshop_->max_len < max_len) {
    workshop_.reset();
    workshop_ =
        std::make_unique<Workshop>(weights_, kernels, max_rows, max_len, num_threads, 4 + 2 * options_.num_rows);
  }
  return *workshop_;
}

const int32_t* Generation::prefix(int64_t group) const {
  return reinterpret_cast<const int32_t*>(groups_[group].home->block.data() + groups_[group].prefix);
}

// First every row that runs, then what is left of the prefixes, as far as there is room.
void Generation::plan_pass(int64_t max_rows, Pass& pass) {
  pass = {};
  int64_t num_running = 0;
  for (int64_t group = 0; group < num_groups(); ++group) num_running += is_done(group) ? 0 : 1;
  const int64_t num_caches = num_running * (has_guidance_ ? 2 : 1);
  const bool has_drafts = options_.num_rows == 1 && options_.mode != Mode::kBeams && num_caches <= kMostDraftingGroups;
  for (int64_t group = 0; group < num_groups(); ++group) {
    const Group& record = groups_[group];
    const Search running = search(group);
    if (record.num_positions < record.prefix_len || is_done(group)) continue;
    const size_t first_row = pass.rows.size();
    pass.waiting.push_back({group, static_cast<int64_t>(pass.logits_rows.size())});
    const auto position = static_cast<int32_t>(running.length() - 1);
    for (int32_t row = 0; row < options_.num_rows; ++row) {
      if (!running.is_active(row)) continue;
      caches_[group].ancestry[row * record.capacity + position] = static_cast<uint8_t>(row);
      pass.logits_rows.push_back(static_cast<int32_t>(pass.rows.size()));
      if (home_->features && options_.num_rows == 1) take_drafts(running, *state(group, 0));
      add_row({running.last_token(row), position, static_cast<int32_t>(group), row}, state(group, row), pass);
    }
    if (has_drafts) add_drafts(group, running, pass);
    if (has_guidance_) add_negatives(first_row, true, pass);
  }
  const int64_t num_texts = has_guidance_ ? 2 : 1;
  for (int64_t group = 0; group < num_groups(); ++group) {
    Group& record = groups_[group];
    const size_t first_row = pass.rows.size();
    const int64_t room = (max_rows - static_cast<int64_t>(first_row)) / num_texts;
    const int64_t num_read = std::min(record.prefix_len - record.num_positions, room);
    if (num_read <= 0) continue;
    for (int64_t index = 0; index < num_read; ++index) {
      const auto position = static_cast<int32_t>(record.num_positions++);
      add_row({prefix(group)[position], position, static_cast<int32_t>(group), 0}, state(group, 0), pass);
    }
    const bool waits = record.num_positions == record.prefix_len;
    if (waits) {
      pass.waiting.push_back({group, static_cast<int64_t>(pass.logits_rows.size())});
      pass.logits_rows.push_back(static_cast<int32_t>(pass.rows.size()) - 1);
    }
    if (has_guidance_) add_negatives(first_row, waits, pass);
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

// A row that stands behind all that `state` has taken; it takes the row's token.
void Generation::add_row(const Row& row, midi::FeatureState* state, Pass& pass) {
  pass.rows.push_back(row);
  if (state == nullptr) return;
  Row& added = pass.rows.back();
  state->advance(added.token);
  added.time = state->now();
  added.first_feature = static_cast<int32_t>(pass.features.size());
  const midi::FeatureLayout& layout = *groups_[row.group].home->features;  // one that joined has its own
  const midi::FeatureEntry* end = state->write(entries_.data());
  for (const midi::FeatureEntry* entry = entries_.data(); entry != end; ++entry) {
    pass.features.push_back({entry->column, layout.value(*entry)});
  }
  added.last_feature = static_cast<int32_t>(pass.features.size());
}

// Rows for what followed the last time that the sequence's last tokens stood in it.
void Generation::add_drafts(int64_t group, const Search& running, Pass& pass) {
  const int32_t* tokens = running.result_tokens(0);
  const int64_t length = running.result_length(0);
  const int64_t room = std::min(num_drafts_, groups_[group].capacity - length - 1);
  if (room <= 0) return;
  for (int64_t ngram = std::min(max_ngram_, length - 1); ngram >= kMinNgram; --ngram) {
    const int32_t* last = tokens + length - ngram;
    for (int64_t first = length - ngram - 1; first >= 0; --first) {  // the latest is the likeliest
      if (!std::equal(last, last + ngram, tokens + first)) continue;
      const int64_t num = std::min(room, length - ngram - first);
      std::optional<midi::FeatureState> guessed;  // the row's own state takes only what is chosen
      if (home_->features) guessed = *state(group, 0);
      for (int64_t draft = 0; draft < num; ++draft) {
        pass.logits_rows.push_back(static_cast<int32_t>(pass.rows.size()));
        add_row({tokens[first + ngram + draft], static_cast<int32_t>(length + draft), static_cast<int32_t>(group), 0},
                guessed ? &*guessed : nullptr, pass);
      }
      pass.waiting.back().num_drafts = num;
      return;
    }
  }
}

// Lets the search of a group take its logits, and its rows follow the search.
void Generation::choose(const Pass& pass, const Pass::Waiting& waiting, const Workshop& workshop, float* scratch,
                        bool is_last) {
  const Decoder& decoder = workshop.decoder;
  const Kernels& kernels = workshop.kernels;
  Search running = search(waiting.group);
  const int64_t num_rows = options_.num_rows, stride = decoder.logits_stride();
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
  const bool has_guidance = has_guidance_;
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
  if (home_->features) follow(parents, states_[group]);
  const auto is_shared = [&](int64_t position) {
    for (int64_t row = 1; row < num_rows; ++row) {
      if (cache.ancestry[row * cache.capacity + position] != cache.ancestry[position]) return false;
    }
    return true;
  };
  while (cache.trunk_len < num_positions && is_shared(cache.trunk_len)) ++cache.trunk_len;
  if (has_guidance_) caches_[group + num_groups()].trunk_len = cache.trunk_len;
}

Progress Generation::run(const Kernels& kernels, int64_t num_threads, int64_t max_steps, int64_t max_ms, bool is_last) {
  check(has_search_, "this generation has no search; use generation_append");
  num_threads = checked_threads(num_threads);
  max_ms = std::clamp<int64_t>(max_ms, 0, kMostMs);
  const int64_t num_rows = options_.num_rows;
  int64_t num_unread = 0;  // positions of prefixes
  for (int64_t group = 0; group < num_groups(); ++group) {
    num_unread += std::max<int64_t>(0, groups_[group].prefix_len - groups_[group].num_positions);
  }
  const auto num_caches = static_cast<int64_t>(caches_.size());
  const int64_t num_drafts = kMostDraftingGroups * num_drafts_;
  if (groups_.empty()) return {0, 0, true, {}};
  int64_t max_rows =
      std::max(num_caches * num_rows + num_drafts, std::min(num_unread * num_caches / num_groups(), kPrefillRows));
  // Others come and go: they read their prefixes beside those that run, and the workshop is not made anew for each.
  if (is_shared_) max_rows = round_up(num_caches * num_rows + num_drafts, kPrefillRows) + kPrefillRows;
  Workshop& shop = workshop(kernels, num_threads, max_rows);
  Decoder& decoder = shop.decoder;
  decoder.times = {};
  decoder.watch = {};

  Progress progress{};
  std::mutex failure_mutex;
  std::exception_ptr failure;
  const auto began = std::chrono::steady_clock::now();
  bool goes_on = true;
  const auto work = [&](const Member& member) {
    for (;;) {
      if (member.index == 0) {
        const auto elapsed = std::chrono::steady_clock::now() - began;
        goes_on = !failure && progress.num_steps < max_steps &&
                  (progress.num_steps == 0 || elapsed < std::chrono::milliseconds(max_ms));
        if (goes_on) {
          plan_pass(max_rows, pass_);
          goes_on = !pass_.rows.empty();
        }
        if (goes_on) {
          decoder.prepare(caches_.data(), pass_.rows, pass_.logits_rows, pass_.features);
          ++progress.num_steps;
        }
      }
      member.wait();
      if (!goes_on) return;
      if (member.index == 0) decoder.watch.lap(decoder.times.choice);
      decoder.run(member);
      for (auto index = static_cast<size_t>(member.index); index < pass_.waiting.size();
           index += static_cast<size_t>(member.num_threads)) {
        try {
          choose(pass_, pass_.waiting[index], shop, shop.scratch.data() + member.index * shop.scratch_stride, is_last);
        } catch (const DecodingError& error) {
          const std::lock_guard<std::mutex> lock(failure_mutex);
          if (is_shared_) {
            groups_[pass_.waiting[index].group].failure = error.what();
          } else if (!failure) {
            failure = std::current_exception();
          }
        } catch (...) {
          const std::lock_guard<std::mutex> lock(failure_mutex);
          if (!failure) failure = std::current_exception();
        }
      }
      member.wait();
    }
  };
  shop.team.run(work, num_threads);
  if (failure) std::rethrow_exception(failure);
  decoder.watch.lap(decoder.times.choice);
  progress.times = decoder.times;
  progress.is_done = true;
  for (int64_t group = 0; group < num_groups(); ++group) {
    const Search running = search(group);
    progress.is_done &= is_done(group);
    progress.num_tokens += running.length() - groups_[group].prefix_len;
  }
  return progress;
}

void Generation::join(Generation& other) {
  check(this != &other && has_search_ && other.has_search_, "only two generations with a search can be joined");
  check(options_.mode == other.options_.mode && options_.num_rows == other.options_.num_rows,
        "generations that are joined have one mode and one number of rows");
  check(groups_.empty() || other.groups_.empty() || has_guidance_ == other.has_guidance_,
        "generations that are joined have guidance, all or none");
  if (groups_.empty()) has_guidance_ = other.has_guidance_;
  const int64_t num_here = num_groups(), num_there = other.num_groups();
  caches_.insert(caches_.begin() + num_here, other.caches_.begin(), other.caches_.begin() + num_there);
  caches_.insert(caches_.end(), other.caches_.begin() + num_there, other.caches_.end());
  std::move(other.groups_.begin(), other.groups_.end(), std::back_inserter(groups_));
  std::move(other.states_.begin(), other.states_.end(), std::back_inserter(states_));
  entries_.resize(std::max(entries_.size(), other.entries_.size()));
  other.groups_.clear();
  other.states_.clear();
  other.caches_.clear();
  is_shared_ = true;
}

void Generation::restart(int64_t group, const std::vector<int32_t>& prefix, int64_t max_new_tokens,
                         int64_t first_sequence, const Before& before) {
  check(group >= 0 && group < num_groups(), "there is no prompt " + std::to_string(group));
  check(has_search_ && options_.mode != Mode::kBeams, "only greedy search and sampling can begin anew");
  Group& record = groups_[group];
  GroupCache& cache = caches_[group];
  Search ended = search(group);
  const std::string name = "prompt " + std::to_string(group);
  check(ended.is_done() && record.failure.empty(), name + " has not ended well");
  for (const int64_t number : {first_sequence, before.num_tokens, before.tokens_left}) check_count(number, name);
  const auto prefix_len = static_cast<int64_t>(prefix.size());
  check_prefix(prefix, options_.vocab_size, name);
  check(prefix_len >= 1 && max_new_tokens >= 1 && prefix_len <= record.capacity &&
            max_new_tokens <= record.capacity - prefix_len,
        name + " would have " + std::to_string(prefix_len) + " + " + std::to_string(max_new_tokens) +
            " tokens; there is room for 1 to " + std::to_string(record.capacity));

  // The row that begins with most of them. The cache has all but the last token of a row that went on to the end; one
  // that ended before follows another row, behind the prefix that they share.
  int64_t num_kept = 0, best_row = 0;
  for (int64_t row = 0; row < ended.num_results(); ++row) {
    const bool went_on = ended.result_reason(row) == FinishReason::kLength;
    const int64_t num_cached = (went_on ? ended.length() : std::min(record.prefix_len, ended.length())) - 1;
    const int64_t most = std::min(num_cached, prefix_len - 1);
    if (most <= num_kept) continue;
    const int32_t* tokens = ended.result_tokens(row);
    const int64_t num_common = std::mismatch(tokens, tokens + most, prefix.begin()).first - tokens;
    if (num_common > num_kept) std::tie(num_kept, best_row) = std::make_tuple(num_common, row);
  }
  const uint8_t* best_slots = cache.ancestry + best_row * cache.capacity;
  for (int64_t row = 0; row < options_.num_rows; ++row) {
    uint8_t* slots = cache.ancestry + row * cache.capacity;
    if (row != best_row) std::copy_n(best_slots, num_kept, slots);
    std::fill(slots + num_kept, slots + cache.capacity, uint8_t{0});
  }
  cache.trunk_len = num_kept;
  if (has_guidance_) caches_[group + num_groups()].trunk_len = num_kept;
  if (record.home->features) {
    midi::FeatureState state(*record.home->features, record.num_bars);
    for (int64_t position = 0; position < num_kept; ++position) state.advance(prefix[position]);
    states_[group].assign(static_cast<size_t>(options_.num_rows), state);
  }
  std::copy(prefix.begin(), prefix.end(), reinterpret_cast<int32_t*>(record.home->block.data() + record.prefix));
  record.prefix_len = record.num_positions = prefix_len;
  ended.begin(prefix.data(), prefix_len, max_new_tokens, record.seed, first_sequence, before);
  record.num_positions = num_kept;
}

void Generation::leave(int64_t group) {
  check(group >= 0 && group < num_groups(), "there is no prompt " + std::to_string(group));
  if (has_guidance_) caches_.erase(caches_.begin() + num_groups() + group);
  caches_.erase(caches_.begin() + group);
  groups_.erase(groups_.begin() + group);
  if (home_->features) states_.erase(states_.begin() + group);
  if (home_.use_count() == 1) home_->free();  // no group is left of those that this generation began with
}

GroupStatus Generation::status(int64_t group) const {
  check(group >= 0 && group < num_groups(), "there is no prompt " + std::to_string(group));
  const Search running = search(group);
  if (running.num_results() == 0) return {0, is_done(group), FinishReason{}, groups_[group].failure};
  return {running.result_length(0) - groups_[group].prefix_len, is_done(group), running.result_reason(0),
          groups_[group].failure};
}

void Generation::append(const Kernels& kernels, int64_t num_threads, const int32_t* parents, const int32_t* tokens,
                        int64_t num_tokens, float* logits) {
  check(!has_search_, "this generation has a search; use generation_run");
  check(!groups_.empty(), "the prompt of this generation has left");
  Group& record = groups_[0];
  GroupCache& cache = caches_[0];
  const int64_t num_rows = options_.num_rows, vocab_size = weights_.shape().vocab_size;
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
  num_threads = checked_threads(num_threads);
  reorder(0, {parents, parents + num_rows}, record.num_positions);
  const int64_t max_rows = std::max(num_rows, kPrefillRows);
  Workshop& shop = workshop(kernels, num_threads, max_rows);
  Decoder& decoder = shop.decoder;
  for (int64_t first = 0; first < num_tokens;) {
    const int64_t count = std::min(num_tokens - first, max_rows / num_rows);
    Pass pass;
    for (int64_t index = first; index < first + count; ++index) {
      const auto position = static_cast<int32_t>(record.num_positions + index);
      for (int32_t row = 0; row < num_rows; ++row) {
        cache.ancestry[row * cache.capacity + position] = static_cast<uint8_t>(row);
        pass.logits_rows.push_back(static_cast<int32_t>(pass.rows.size()));
        add_row({tokens[row * num_tokens + index], position, 0, row}, state(0, row), pass);
      }
    }
    decoder.prepare(caches_.data(), pass.rows, pass.logits_rows, pass.features);
    shop.team.run([&](const Member& member) { decoder.run(member); }, num_threads);
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
