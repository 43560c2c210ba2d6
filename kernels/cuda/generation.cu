#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "generation.h"

namespace amt::cuda {
namespace {

constexpr int64_t kStepsBetweenLooks = 16;  // so many steps are replayed before the CPU looks whether all is done

engine::SearchOptions options_of(const engine::GenerationPlan& plan, const engine::DecoderShape& shape) {
  engine::SearchOptions options = plan.options;
  options.vocab_size = static_cast<int32_t>(shape.vocab_size);
  return options;
}

}  // namespace

Generation::Generation(const DeviceDecoder& decoder, engine::GenerationPlan plan, bool may_loop)
    : decoder_(decoder),
      options_(options_of(plan, decoder.shape())),
      may_loop_(may_loop && decoder.can_loop()),
      stream_(decoder.device()) {
  const engine::DecoderShape& shape = decoder.shape();
  engine::check_plan(shape, plan);
  if (!plan.has_search) throw std::invalid_argument("on a GPU every generation has a search");
  suppressed_ = engine::suppressed_flags(plan.suppress_tokens, plan.begin_suppress_tokens, shape.vocab_size);
  options_.suppressed = suppressed_.empty() ? nullptr : suppressed_.data();
  grammars_ = std::move(plan.grammars);
  features_ = std::move(plan.features);

  const auto num_prompts = static_cast<int64_t>(plan.groups.size());
  const int64_t num_rows = options_.num_rows, num_texts = plan.groups[0].negative_memory >= 0 ? 2 : 1;
  const int64_t all_prompts = num_texts * num_prompts, all_rows = all_prompts * num_rows;
  const int64_t heads = shape.num_heads, head_stride = decoder.head_stride(), bytes = decoder.number_bytes();
  const auto num_memories = static_cast<int64_t>(plan.memories.size());
  int64_t capacity = 1;
  for (const engine::GroupPlan& asked : plan.groups) capacity = std::max(capacity, asked.capacity());
  memory_len_ = 1;
  for (const engine::Memory& memory : plan.memories) memory_len_ = std::max(memory_len_, memory.len);
  if (all_prompts * ((num_rows + 7) / 8) > 65535) {
    throw std::invalid_argument("a GPU runs at most 65535 prompts at a time; give fewer at once");
  }
  const int64_t max_entries = features_ ? features_->max_entries() : 0;
  prefixes_ = Prefixes(plan, num_texts);
  const int64_t most_rows = std::max(all_rows, prefixes_.max_rows());

  // What begins as zeros stands first.
  const int64_t num_tiles = (num_rows + 7) / 8;
  const int64_t attention_arrivals = block_.take(all_prompts * num_tiles * heads, 4);
  const int64_t choice_arrivals = block_.take(num_prompts, 4);
  const int64_t ancestry = block_.take(num_prompts * num_rows * capacity, 1);
  const int64_t states = block_.take(num_prompts, sizeof(PromptState));
  const int64_t x = block_.take(most_rows * decoder.width(), 4);
  const int64_t mixed = block_.take(most_rows * decoder.mixed_stride(), 4);
  const int64_t wide = block_.take(most_rows * decoder.hidden_stride(), 4);
  const int64_t num_zeros = block_.num_bytes();
  const int64_t control = block_.take(1, sizeof(Control));
  const int64_t prompts = block_.take(num_prompts, sizeof(Prompt));
  places_.suppressed = block_.take(static_cast<int64_t>(suppressed_.size()), 1);
  places_.grammars = block_.take(static_cast<int64_t>(grammars_.size()), sizeof(midi::GrammarRules));
  if (features_) {
    list_words_ = static_cast<int64_t>(midi::FeatureTrack::list_bytes(capacity) / sizeof(uint64_t));
    const int64_t num_tracks = 2 * num_prompts * num_rows;
    places_.features = block_.take(1, sizeof(midi::FeatureRules));
    places_.feature_values = block_.take(2 * (midi::FeatureRules::kLargestNumber + 1), sizeof(float));
    places_.tracks = block_.take(num_tracks, sizeof(midi::FeatureTrack));
    places_.lists = block_.take(num_tracks * list_words_, sizeof(uint64_t));
  }
  for (const engine::GroupPlan& asked : plan.groups) {
    Group group{static_cast<int64_t>(asked.prefix.size()), asked.capacity(), asked.grammar, 0, 0, {}};
    group.search_bytes = engine::Search::bytes(options_, group.capacity, asked.grammar >= 0);
    group.search = block_.take(static_cast<int64_t>(group.search_bytes), 1);
    groups_.push_back(std::move(group));
  }
  const int64_t token_ids = block_.take(all_rows, 4), row_positions = block_.take(all_rows, 4);
  const int64_t num_entries = block_.take(all_rows, 4);
  const int64_t entries = block_.take(num_prompts * num_rows * max_entries, sizeof(midi::FeatureEntry));
  const int64_t columns = block_.take(all_rows * max_entries, 4), values = block_.take(all_rows * max_entries, 4);
  const bool is_rotary = shape.positions == engine::PositionKind::kRotary;
  const int64_t turns = block_.take(is_rotary ? all_rows * 2 * shape.head_dim() : 0, 4);
  const int64_t lengths = block_.take(all_prompts, 4), trunk_lengths = block_.take(all_prompts, 4);
  const int64_t memories = block_.take(all_prompts, 4), memory_lengths = block_.take(all_prompts, 4);
  const int64_t query_key_value = block_.take(most_rows * 3 * decoder.mixed_stride(), 4);
  const int64_t logits = block_.take(all_rows * decoder.logits_stride(), 4);
  const int64_t scratch_stride = choose_scratch(shape.vocab_size, num_rows);
  const int64_t scratch = block_.take(num_prompts * num_rows * scratch_stride, 4);
  const int64_t failures = block_.take(num_prompts * num_rows, sizeof(engine::Failure));
  const int64_t num_chunks = (std::max(capacity, memory_len_) + kChunk - 1) / kChunk;
  const int64_t partial = block_.take(all_prompts * heads * num_chunks * num_rows * (head_stride + 2), 4);
  pass_.layer_numbers = all_prompts * heads * capacity * num_rows * head_stride;
  pass_.memory_layer_numbers = num_memories * heads * memory_len_ * head_stride;
  const int64_t keys = block_.take(shape.num_layers * pass_.layer_numbers, static_cast<size_t>(bytes));
  const int64_t values_of_keys = block_.take(shape.num_layers * pass_.layer_numbers, static_cast<size_t>(bytes));
  const int64_t memory_keys =
      block_.take(shape.num_cross_layers() * pass_.memory_layer_numbers, static_cast<size_t>(bytes));
  const int64_t memory_values =
      block_.take(shape.num_cross_layers() * pass_.memory_layer_numbers, static_cast<size_t>(bytes));
  const int64_t masks = block_.take(num_memories * memory_len_, 1);
  prefixes_.take(block_, max_entries, is_rotary ? shape.head_dim() : 0);
  block_.make("give fewer prompts at once, or lower num_beams, num_return_sequences or max_new_tokens");
  stream_.zero(block_.at(0), static_cast<size_t>(num_zeros));

  const auto as_floats = [&](int64_t place) { return reinterpret_cast<float*>(block_.at(place)); };
  const auto as_ints = [&](int64_t place) { return reinterpret_cast<int32_t*>(block_.at(place)); };
  plan_.prompts = choose_.prompts = reinterpret_cast<Prompt*>(block_.at(prompts));
  plan_.states = choose_.states = reinterpret_cast<PromptState*>(block_.at(states));
  plan_.token_ids = as_ints(token_ids);
  plan_.row_positions = as_ints(row_positions);
  plan_.entries = features_ ? reinterpret_cast<midi::FeatureEntry*>(block_.at(entries)) : nullptr;
  plan_.num_entries = as_ints(num_entries);
  plan_.columns = as_ints(columns);
  plan_.values = as_floats(values);
  plan_.turns_of_rows = {decoder.turn_table(0),
                         decoder.turn_table(1),
                         decoder.time_frequency(),
                         is_rotary ? as_floats(turns) : nullptr,
                         static_cast<int32_t>(shape.head_dim()),
                         static_cast<int32_t>(shape.num_timed_pairs())};
  plan_.lengths = as_ints(lengths);
  plan_.trunk_lengths = as_ints(trunk_lengths);
  plan_.num_prompts = choose_.num_prompts = static_cast<int32_t>(num_prompts);
  plan_.num_rows = choose_.num_rows = pass_.num_beams = static_cast<int32_t>(num_rows);
  plan_.num_texts = static_cast<int32_t>(num_texts);
  plan_.max_entries = pass_.max_entries = static_cast<int32_t>(max_entries);

  pass_.num_prompts = static_cast<int32_t>(all_prompts);
  pass_.num_rows = static_cast<int32_t>(all_rows);
  pass_.num_ancestries = static_cast<int32_t>(num_prompts);
  pass_.capacity = static_cast<int32_t>(capacity);
  pass_.memory_capacity = static_cast<int32_t>(memory_len_);
  pass_.token_ids = plan_.token_ids;
  pass_.row_positions = plan_.row_positions;
  pass_.num_entries = plan_.num_entries;
  pass_.columns = plan_.columns;
  pass_.values = plan_.values;
  pass_.turns = plan_.turns_of_rows.turns;
  pass_.lengths = plan_.lengths;
  pass_.trunk_lengths = plan_.trunk_lengths;
  pass_.ancestry = reinterpret_cast<uint8_t*>(block_.at(ancestry));
  pass_.memories = as_ints(memories);
  pass_.memory_lengths = as_ints(memory_lengths);
  pass_.memory_mask = reinterpret_cast<uint8_t*>(block_.at(masks));
  pass_.keys = block_.at(keys);
  pass_.values_of_keys = block_.at(values_of_keys);
  pass_.memory_keys = block_.at(memory_keys);
  pass_.memory_values = block_.at(memory_values);
  pass_.x = as_floats(x);
  pass_.query_key_value = as_floats(query_key_value);
  pass_.mixed = as_floats(mixed);
  pass_.wide = as_floats(wide);
  pass_.logits = as_floats(logits);
  pass_.partial = as_floats(partial);
  pass_.arrivals = reinterpret_cast<uint32_t*>(block_.at(attention_arrivals));

  choose_.control = reinterpret_cast<Control*>(block_.at(control));
  choose_.logits = pass_.logits;
  choose_.negative = num_texts == 2 ? pass_.logits + num_prompts * num_rows * decoder.logits_stride() : nullptr;
  choose_.scratch = as_floats(scratch);
  choose_.failures = reinterpret_cast<engine::Failure*>(block_.at(failures));
  choose_.arrivals = reinterpret_cast<uint32_t*>(block_.at(choice_arrivals));
  choose_.vocab_size = static_cast<int32_t>(shape.vocab_size);
  choose_.stride = decoder.logits_stride();
  choose_.scratch_stride = static_cast<int32_t>(scratch_stride);

  send_prompts(plan);
  send_memories(plan);
  stream_.wait();
}

engine::Search Generation::view(Group& group) const {
  return {options_, group.capacity, group.grammar < 0 ? nullptr : &grammars_[static_cast<size_t>(group.grammar)],
          group.copy.data()};
}

// The searches begin on the CPU, and go on where they are then copied to.
void Generation::send_prompts(const engine::GenerationPlan& plan) {
  const int64_t num_rows = options_.num_rows;
  engine::SearchOptions there = options_;
  there.suppressed = suppressed_.empty() ? nullptr : reinterpret_cast<uint8_t*>(block_.at(places_.suppressed));
  stream_.to_device(block_.at(places_.suppressed), suppressed_.data(), suppressed_.size());
  auto* rules = reinterpret_cast<midi::GrammarRules*>(block_.at(places_.grammars));
  for (size_t index = 0; index < grammars_.size(); ++index) {
    stream_.to_device(rules + index, &grammars_[index].rules(), sizeof(midi::GrammarRules));
  }
  auto* tracks = reinterpret_cast<midi::FeatureTrack*>(block_.at(places_.tracks));
  auto* lists = reinterpret_cast<uint64_t*>(block_.at(places_.lists));
  if (features_) send_features(plan, tracks, lists);
  std::vector<Prompt> prompts;
  std::vector<PromptState> states;
  for (size_t index = 0; index < groups_.size(); ++index) {
    Group& group = groups_[index];
    const engine::GroupPlan& asked = plan.groups[index];
    group.copy.resize(group.search_bytes);
    try {
      view(group).begin(asked.prefix.data(), group.prefix_len, asked.max_new_tokens, asked.seed, asked.first_sequence,
                        asked.before);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("prefix " + std::to_string(index) + " " + error.what());
    }
    const bool has_grammar = group.grammar >= 0;
    if (has_grammar) {
      const engine::Search begun = view(group);
      for (int64_t bank = 0; bank < begun.num_banks(); ++bank) {
        for (int64_t row = 0; row < num_rows; ++row) begun.grammar_state(bank, row).bind(rules[group.grammar]);
      }
    }
    const auto layout = engine::SearchView::lay_out(options_, group.capacity, has_grammar);
    stream_.to_device(block_.at(group.search), group.copy.data(), group.search_bytes);
    const int64_t first_row = static_cast<int64_t>(index) * num_rows;
    Prompt prompt{engine::SearchView(there, group.capacity, has_grammar, layout, block_.at(group.search))};
    prompt.ancestry = const_cast<uint8_t*>(pass_.ancestry) + first_row * pass_.capacity;
    if (features_) {
      prompt.tracks = tracks + 2 * first_row;
      prompt.lists = lists + 2 * first_row * list_words_;
      prompt.feature_values = reinterpret_cast<float*>(block_.at(places_.feature_values));
      prompt.features = reinterpret_cast<midi::FeatureRules*>(block_.at(places_.features));
      prompt.list_words = list_words_;
    }
    prompt.num_rows = static_cast<int32_t>(num_rows);
    prompt.capacity = pass_.capacity;
    prompts.push_back(prompt);
  }
  for (const Group& group : groups_) {
    const auto num_read = static_cast<int32_t>(group.prefix_len - 1);  // when the first step begins
    states.push_back({num_read, num_read, 0, 0, 0});
  }
  stream_.to_device(plan_.states, states.data(), states.size() * sizeof(PromptState));
  stream_.to_device(const_cast<Prompt*>(plan_.prompts), prompts.data(), prompts.size() * sizeof(Prompt));
  const Control begin{0, 0, static_cast<int32_t>(prompts.size()), 0};
  stream_.to_device(choose_.control, &begin, sizeof(begin));
  stream_.wait();  // `prompts` and `states` end here
}

// Every row of a prompt begins with the same track, which has taken nothing.
void Generation::send_features(const engine::GenerationPlan& plan, midi::FeatureTrack* tracks, uint64_t* lists) {
  auto* rules = reinterpret_cast<midi::FeatureRules*>(block_.at(places_.features));
  std::vector<midi::FeatureTrack> begun;
  for (const engine::GroupPlan& asked : plan.groups) {
    for (int64_t row = 0; row < 2 * options_.num_rows; ++row) {
      uint64_t* own = lists + static_cast<int64_t>(begun.size()) * list_words_;
      begun.emplace_back(features_->rules(), asked.num_bars, own, pass_.capacity);
      begun.back().bind(*rules, own, pass_.capacity);
    }
  }
  const std::vector<float> values = features_->value_table();
  stream_.to_device(rules, &features_->rules(), sizeof(midi::FeatureRules));
  stream_.to_device(block_.at(places_.feature_values), values.data(), values.size() * sizeof(float));
  stream_.to_device(tracks, begun.data(), begun.size() * sizeof(midi::FeatureTrack));
  stream_.wait();  // `begun` and `values` end here
}

void Generation::send_memories(const engine::GenerationPlan& plan) {
  const engine::DecoderShape& shape = decoder_.shape();
  const int64_t num_memories = static_cast<int64_t>(plan.memories.size());
  std::vector<int32_t> memories, lengths;
  for (const bool is_negative : {false, true}) {
    for (const engine::GroupPlan& asked : plan.groups) {
      const int64_t memory = is_negative ? asked.negative_memory : asked.memory;
      if (memory < 0) continue;
      memories.push_back(static_cast<int32_t>(memory));
      lengths.push_back(static_cast<int32_t>(plan.memories[static_cast<size_t>(memory)].len));
    }
  }
  stream_.to_device(const_cast<int32_t*>(pass_.memories), memories.data(), memories.size() * 4);
  stream_.to_device(const_cast<int32_t*>(pass_.memory_lengths), lengths.data(), lengths.size() * 4);
  std::vector<uint8_t> masks(static_cast<size_t>(num_memories * memory_len_), 1);
  for (int64_t index = 0; index < num_memories; ++index) {
    const engine::Memory& memory = plan.memories[static_cast<size_t>(index)];
    if (memory.mask != nullptr) std::copy_n(memory.mask, memory.len, masks.begin() + index * memory_len_);
    const int64_t kind_numbers = shape.num_heads * memory.len * shape.head_dim();
    for (int64_t layer = 0; layer < shape.num_cross_layers(); ++layer) {
      for (int64_t kind = 0; kind < 2; ++kind) {
        const int64_t place =
            layer * pass_.memory_layer_numbers + index * shape.num_heads * memory_len_ * decoder_.head_stride();
        const void* start = kind == 0 ? pass_.memory_keys : pass_.memory_values;
        const PlaceMemory call{memory.keys_values + (2 * layer + kind) * kind_numbers,
                               static_cast<std::byte*>(const_cast<void*>(start)) + place * decoder_.number_bytes(),
                               static_cast<int32_t>(shape.num_heads),
                               static_cast<int32_t>(memory.len),
                               static_cast<int32_t>(shape.head_dim()),
                               static_cast<int32_t>(memory_len_),
                               decoder_.head_stride()};
        check_device(amt_cuda_place_memory(&call, decoder_.is_bfloat(), stream_.get()), "keys and values of a text");
      }
    }
  }
  stream_.to_device(const_cast<uint8_t*>(pass_.memory_mask), masks.data(), masks.size());
  stream_.wait();
}

void Generation::read_prefixes() {
  const auto run = [this](const Prefixes::Rows& rows) {
    Pass pass = pass_;
    pass.segments = rows.segments;
    pass.row_prompts = rows.row_prompts;
    pass.num_segments = rows.num_segments;
    pass.longest_segment = rows.longest_segment;
    pass.num_rows = rows.num_rows;
    pass.token_ids = rows.token_ids;
    pass.row_positions = rows.row_positions;
    pass.num_entries = rows.num_entries;
    pass.columns = rows.columns;
    pass.values = rows.values;
    pass.turns = rows.turns;
    if (rows.turns != nullptr) {
      PrefixTurns call{plan_.turns_of_rows, rows.times, rows.row_positions, rows.num_rows};
      call.turns.turns = rows.turns;
      check_device(amt_cuda_prefix_turns(&call, stream_.get()), "the turns of a prefix");
    }
    decoder_.run(pass, stream_.get());
  };
  // The first row of a prompt goes on from there; the others follow it when they have their first tokens.
  const auto keep = [this](int64_t prompt, midi::FeatureTrack& track, const std::vector<uint64_t>& lists) {
    const int64_t place = 2 * prompt * options_.num_rows;
    auto* own = reinterpret_cast<uint64_t*>(block_.at(places_.lists)) + place * list_words_;
    track.bind(*reinterpret_cast<midi::FeatureRules*>(block_.at(places_.features)), own, pass_.capacity);
    stream_.to_device(reinterpret_cast<midi::FeatureTrack*>(block_.at(places_.tracks)) + place, &track, sizeof(track));
    stream_.to_device(own, lists.data(), lists.size() * sizeof(uint64_t));
  };
  prefixes_.read(stream_, block_, features_ ? &*features_ : nullptr, pass_.capacity, run, keep);
}

void Generation::step() {
  check_device(launch_plan(plan_, stream_.get()), "the plan of a step");
  decoder_.run(pass_, stream_.get());
  check_device(launch_choose(choose_, stream_.get()), "the choice of tokens");
}

Progress Generation::run(int64_t max_steps, bool is_last) {
  stream_.use();
  const int32_t wanted = is_last ? 1 : 0;
  stream_.to_device(&choose_.control->is_last, &wanted, sizeof(wanted));
  Control control{};
  stream_.to_host(&control, choose_.control, sizeof(control));
  if (!has_read_prefixes_ && max_steps > 0) {
    read_prefixes();
    has_read_prefixes_ = true;
  }
  while (max_steps > 0 && control.num_running > 0 && control.num_failed == 0) {
    if (!graph_.is_captured()) graph_.capture(stream_, [this] { step(); }, choose_.control, may_loop_);
    const int64_t num_steps = graph_.is_loop() ? max_steps : std::min(max_steps, kStepsBetweenLooks);
    graph_.run(stream_, num_steps);
    max_steps -= num_steps;
    stream_.to_host(&control, choose_.control, sizeof(control));
  }
  Progress progress{0, control.num_running == 0};
  std::vector<PromptState> states(groups_.size());
  stream_.to_host(states.data(), plan_.states, states.size() * sizeof(PromptState));
  for (const PromptState& state : states) progress.num_tokens += state.num_new_tokens;
  if (control.num_failed == 0) return progress;
  for (int64_t prompt = 0; prompt < num_prompts(); ++prompt) {
    const engine::Search found = search(prompt);
    const engine::Failure failure = found.header().failure;
    // Where a beam has no token, that step has been counted.
    const int64_t step = found.num_new_tokens() - (failure == engine::Failure::kNoBeam ? 1 : 0);
    if (failure != engine::Failure::kNone) found.throw_failure(failure, step);
  }
  return progress;
}

engine::Search Generation::search(int64_t prompt) {
  if (prompt < 0 || prompt >= num_prompts()) {
    throw std::invalid_argument("there is no prompt " + std::to_string(prompt));
  }
  Group& group = groups_[static_cast<size_t>(prompt)];
  stream_.use();
  stream_.to_host(group.copy.data(), block_.at(group.search), group.search_bytes);
  return view(group);
}

}  // namespace amt::cuda
