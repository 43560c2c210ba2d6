// Walks through a grammar with any limits, budgets and plans: an end stays in reach, what the limits say holds, state
// features follow, and what was written goes through notes and back. Then an edit is made of it.
#include <algorithm>
#include <bitset>
#include <cmath>
#include <memory>
#include <optional>

#include "claims.h"
#include "edits.h"
#include "inputs.h"
#include "state_features.h"

using namespace amt;

namespace {

constexpr int kMostTokens = 120;
constexpr size_t kFirstPlanFeature = 14;

// How tokens are drawn: any; those that begin something; any but the end.
enum class Taste { kAny, kBegins, kGoesOn };

int draw(const std::vector<uint8_t>& mask, const midi::Vocabulary& vocabulary, Taste taste, fuzz::SplitMix& random) {
  std::vector<int> all, wanted;
  for (int id = 0; id < vocabulary.size(); ++id) {
    if (!mask[id]) continue;
    all.push_back(id);
    const midi::Kind kind = vocabulary.event(id).kind;
    const bool begins = kind == midi::Kind::kNoteOn || kind == midi::Kind::kPedalOn || kind == midi::Kind::kProgram;
    if (taste == Taste::kBegins ? begins : taste == Taste::kGoesOn && kind != midi::Kind::kEos) wanted.push_back(id);
  }
  const std::vector<int>& from = wanted.empty() ? all : wanted;
  return from.empty() ? -1 : from[random.next() % from.size()];
}

// A mask has the tokens that are nearest to what the step shall bring, each judged alone, as a GPU does.
void claim_nearest(const midi::GrammarState& state, const std::vector<uint8_t>& mask, int64_t remaining) {
  const midi::GrammarState::Aim aim = state.aim(remaining);
  int least = midi::GrammarState::kForbidden;
  std::vector<int> distances;
  for (size_t id = 0; id < mask.size(); ++id) {
    distances.push_back(state.distance(static_cast<int>(id), aim));
    least = std::min(least, distances.back());
  }
  for (size_t id = 0; id < mask.size(); ++id) {
    const bool is_nearest = least < midi::GrammarState::kForbidden && distances[id] == least;
    fuzz::claim(is_nearest == (mask[id] != 0), "a mask has the nearest tokens", static_cast<long long>(id));
  }
}

// Within tokens_to_close tokens a state can be ended, whatever is drawn.
void claim_ends(midi::GrammarState state, fuzz::SplitMix& random, const midi::Vocabulary& vocabulary) {
  std::vector<uint8_t> mask(vocabulary.size());
  int64_t left = state.tokens_to_close();
  while (!state.is_finished()) {
    fuzz::claim(left > 0, "an end comes in the tokens that it needs");
    state.allowed(mask.data(), left);
    const int id = draw(mask, vocabulary, Taste::kAny, random);
    fuzz::claim(id >= 0, "some token may come");
    state.advance(id);
    --left;
    fuzz::claim(state.is_finished() || state.tokens_to_close() <= left, "a budget is kept", left);
  }
}

std::optional<midi::FeatureLayout> any_layout(const midi::Vocabulary& vocabulary, uint64_t bits) {
  if (!vocabulary.config().is_score) return std::nullopt;
  midi::FeatureConfig config{vocabulary.config(), bits | 1};
  if (!vocabulary.config().has_plans_and_edits) {
    for (size_t feature = kFirstPlanFeature; feature < midi::kNumFeatures; ++feature) config.features.reset(feature);
  }
  return midi::FeatureLayout(config);
}

void claim_features(const midi::FeatureLayout& layout, const std::vector<int32_t>& ids, int64_t num_bars) {
  const midi::FeatureRows rows = midi::feature_rows(layout, ids.data(), {static_cast<int64_t>(ids.size())}, {num_bars});
  midi::FeatureState state(layout, num_bars);
  std::vector<midi::FeatureEntry> entries(static_cast<size_t>(layout.max_entries()));
  size_t place = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    midi::FeatureState copy = state;
    copy.advance(midi::Vocabulary::kBosId);  // a copy is a state of its own
    state.advance(ids[i]);
    fuzz::claim(state.now() == rows.times[i], "a state knows the time");
    int last = -1;
    const midi::FeatureEntry* end = state.write(entries.data());
    for (const midi::FeatureEntry* entry = entries.data(); entry != end; ++entry, ++place) {
      fuzz::claim(entry->column > last && entry->column < layout.num_columns(), "columns ascend", entry->column);
      fuzz::claim(std::isfinite(layout.value(*entry)), "a feature is a number");
      last = entry->column;
      if (ids[i] == midi::Vocabulary::kPadId) continue;
      fuzz::claim(place < rows.entries.size() && entry->column == rows.entries[place].column &&
                      entry->number == rows.entries[place].number,
                  "rows have what states say", static_cast<long long>(i));
    }
  }
  fuzz::claim(place == rows.entries.size(), "rows have nothing else");
}

void claim_limits(const midi::MidiData& music, const midi::Grammar& grammar) {
  std::bitset<midi::kNumPrograms> heard;
  for (const midi::Note& note : music.notes) {
    const int program = note.is_drum ? midi::kDrums : note.program;
    heard.set(static_cast<size_t>(program));
    fuzz::claim(grammar.playable(program)[note.pitch], "a note is one that may be played", note.pitch);
  }
  fuzz::claim(static_cast<int64_t>(heard.count()) <= grammar.constraints().max_programs, "so many programs play");
}

// Makes an edit of what was written, with holes anywhere.
void claim_edit(const std::vector<int32_t>& ids, fuzz::Bytes& bytes, const midi::Vocabulary& vocabulary) {
  std::vector<midi::StepHole> holes;
  for (int64_t left = bytes.below(5); left > 0; --left) {
    const int64_t start = bytes.rarely(20) ? static_cast<int64_t>(bytes.number(8)) : bytes.below(200);
    const int64_t length = bytes.rarely(20) ? static_cast<int64_t>(bytes.number(8)) : bytes.below(100);
    holes.push_back({static_cast<int>(bytes.below(131)) - 1, start,
                     static_cast<int64_t>(static_cast<uint64_t>(start) + static_cast<uint64_t>(length))});
  }
  const int64_t end_step = bytes.rarely(3) ? bytes.below(300) : -1;
  std::vector<int32_t> row;
  try {
    row = midi::edit_row(ids.data(), ids.size(), holes, end_step, vocabulary);
  } catch (const std::invalid_argument&) {
    return;
  }
  fuzz::claim_grammar_takes(row, midi::Grammar(vocabulary, {}));
  const midi::Decoding decoding = midi::decode(row.data(), row.size(), vocabulary);
  fuzz::claim(decoding.report.ignored_tokens == 0, "an edit decodes without a loss");
  fuzz::claim_file_keeps(decoding.data, false);
  if (const auto layout = any_layout(vocabulary, ~uint64_t{0} >> (64 - midi::kNumFeatures))) {
    claim_features(*layout, row, 3);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Bytes bytes(data, size);
  midi::VocabularyConfig config = fuzz::any_vocabulary(bytes);
  if (!bytes.rarely(16)) config.max_time_shift = 1 + config.max_time_shift % 24;  // small masks are quick
  const midi::Vocabulary vocabulary(config);
  std::unique_ptr<midi::Grammar> grammar;
  try {
    midi::Constraints constraints = fuzz::any_constraints(bytes, config);
    midi::check_ranges(constraints);
    grammar = std::make_unique<midi::Grammar>(vocabulary, std::move(constraints));
  } catch (const std::invalid_argument&) {  // they contradict each other
    return 0;
  }
  const midi::Constraints& given = grammar->constraints();
  const auto taste = static_cast<Taste>(bytes.below(3));
  const int64_t budget = bytes.rarely(3) ? bytes.below(1 << 20) : bytes.below(kMostTokens);
  const uint64_t features = bytes.number(3);
  const int64_t num_bars = bytes.below(20);
  fuzz::SplitMix random{bytes.number(8)};

  midi::GrammarState state(*grammar);
  const bool fits = budget >= state.tokens_to_close();
  std::vector<uint8_t> mask(vocabulary.size());
  std::vector<int32_t> ids;
  const int edit = config.has_plans_and_edits ? vocabulary.edit() : -1;
  bool is_edit = false;
  for (int64_t left = budget; !state.is_finished() && ids.size() < kMostTokens; --left) {
    state.allowed(mask.data(), -1);
    fuzz::claim(!state.is_allowed(-1) && !state.is_allowed(vocabulary.size()), "only tokens may come");
    for (int id = 0; id < vocabulary.size(); ++id) {
      if (id == edit) continue;  // a mask never has it: only who asks for an edit says so
      const bool is_same =
          grammar->has_demands() ? !mask[id] || state.is_allowed(id) : mask[id] == state.is_allowed(id);
      fuzz::claim(is_same, "a mask says what single tokens say", id);
    }
    const int64_t to_close = state.tokens_to_close();
    fuzz::claim(to_close >= 1, "an end needs a token");
    const int other = static_cast<int>(random.next() % static_cast<uint64_t>(vocabulary.size()));
    if (!state.is_allowed(other)) {
      bool is_refused = false;
      try {
        state.advance(other);
      } catch (const std::invalid_argument&) {
        is_refused = true;
      }
      fuzz::claim(is_refused && state.tokens_to_close() == to_close, "a token that may not come changes nothing");
    }
    if (!is_edit && random.next() % 12 == 0) {  // a context is given, and keeps no budget
      midi::GrammarState copy = state;
      const int id = draw(mask, vocabulary, Taste::kAny, random);
      fuzz::claim(id >= 0, "some token may come");
      copy.advance(id);
      claim_ends(copy, random, vocabulary);
    }
    const int64_t remaining = std::max<int64_t>(0, left);
    state.allowed(mask.data(), remaining);
    claim_nearest(state, mask, remaining);
    const bool begins_edit = edit >= 0 && random.next() % 64 == 0 && state.is_allowed(edit);
    const int id = begins_edit ? edit : draw(mask, vocabulary, taste, random);
    fuzz::claim(id >= 0, "some token may come within a budget", left);
    is_edit = is_edit || begins_edit;
    state.advance(id);
    ids.push_back(id);
    if (fits && !is_edit)
      fuzz::claim(state.is_finished() || state.tokens_to_close() <= left - 1, "a budget is kept", left);
    if (is_edit) continue;  // a context may be anything
    fuzz::claim(state.num_sounding() <= given.max_polyphony, "so many notes sound", state.num_sounding());
    fuzz::claim(state.now() <= given.max_steps, "the piece is so long", state.now());
  }
  if (fits && budget <= kMostTokens && !is_edit) fuzz::claim(state.is_finished(), "a budget ends the piece");
  if (const auto layout = any_layout(vocabulary, features)) claim_features(*layout, ids, num_bars);
  if (!state.is_finished()) return 0;
  if (is_edit) {
    fuzz::claim_file_keeps(midi::decode(ids.data(), ids.size(), vocabulary).data, false);
    return 0;
  }
  fuzz::claim_round_trip(ids, vocabulary);
  claim_limits(midi::decode(ids.data(), ids.size(), vocabulary).data, *grammar);
  if (config.has_plans_and_edits) claim_edit(ids, bytes, vocabulary);
  return 0;
}
