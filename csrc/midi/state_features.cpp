#include "state_features.h"

#include <cmath>
#include <stdexcept>
#include <utility>

namespace amt::midi {
namespace {

constexpr int64_t kFirstCapacity = 64;

size_t list_words(int64_t capacity) { return FeatureTrack::list_bytes(capacity) / sizeof(uint64_t); }

}  // namespace

FeatureLayout::FeatureLayout(FeatureConfig config) : vocabulary_(std::move(config.vocabulary)) {
  const VocabularyIds& ids = vocabulary_.ids();
  if (!ids.is_score) throw std::invalid_argument("state features need the preset \"score\"");
  rules_.ids = ids;
  const auto add = [&](Feature feature, int size, int most_entries) {
    const auto index = static_cast<size_t>(feature);
    rules_.first[index] = config.features[index] ? rules_.num_columns : -1;
    if (!config.features[index]) return;
    rules_.num_columns += size;
    rules_.max_entries += most_entries;
  };
  add(Feature::kStepInBeat, ids.steps_per_beat, 1);
  add(Feature::kBeatInBar, FeatureRules::kNumBeats, 1);
  add(Feature::kMetre, FeatureRules::kNumMetres + 1, 1);
  add(Feature::kBar, FeatureRules::kNumBars, 1);
  add(Feature::kBarsLeft, FeatureRules::kNumBarsLeft, 1);
  add(Feature::kProgram, kNumPrograms + 1, 1);
  add(Feature::kVelocity, ids.num_velocities + 1, 1);
  add(Feature::kNumSounding, FeatureRules::kNumCounts, 1);
  add(Feature::kProgramNotes, kNumPrograms, kNumPrograms);
  add(Feature::kProgramAges, kNumPrograms, kNumPrograms);
  add(Feature::kProgramsHeard, kNumPrograms, kNumPrograms);
  add(Feature::kOwnPitches, kNumPitches, kNumPitches);
  add(Feature::kOwnAges, kNumPitches, kNumPitches);
  add(Feature::kPitches, kNumPitches, kNumPitches);
  add(Feature::kSection, kNumSections + 1, 1);
  add(Feature::kChord, kNumChords + 1, 1);
  add(Feature::kNextChord, kNumChords + 1, 1);
  add(Feature::kSectionLeft, FeatureRules::kNumBarsLeft, 1);
}

float FeatureLayout::value(FeatureEntry entry) const {
  const bool is_age = rules_.is_age(entry.column);
  if (!is_age && !rules_.is_recency(entry.column)) return entry.number;
  const double age = std::log2(1.0 + 2.0 * entry.number / rules_.ids.steps_per_beat) / 2.0;
  return static_cast<float>(is_age ? age : 1.0 / (1.0 + age));
}

std::vector<float> FeatureLayout::value_table() const {
  std::vector<float> ages, recencies;
  for (int number = 0; number <= FeatureRules::kLargestNumber; ++number) {
    const double age = std::log2(1.0 + 2.0 * number / rules_.ids.steps_per_beat) / 2.0;
    ages.push_back(static_cast<float>(age));
    recencies.push_back(static_cast<float>(1.0 / (1.0 + age)));
  }
  ages.insert(ages.end(), recencies.begin(), recencies.end());
  return ages;
}

FeatureState::FeatureState(const FeatureLayout& layout, int64_t num_bars)
    : capacity_(kFirstCapacity),
      lists_(list_words(capacity_)),
      track_(layout.rules(), num_bars, lists_.data(), capacity_) {}

FeatureState::FeatureState(const FeatureState& other)
    : capacity_(other.capacity_), lists_(list_words(capacity_)), track_(other.track_) {
  track_.move_lists_to(lists_.data(), capacity_);
}

FeatureState& FeatureState::operator=(const FeatureState& other) {
  if (this == &other) return *this;
  if (capacity_ < other.num_tokens()) {
    capacity_ = other.capacity_;
    lists_.resize(list_words(capacity_));
  }
  track_ = other.track_;
  track_.move_lists_to(lists_.data(), capacity_);
  return *this;
}

void FeatureState::grow(int64_t capacity) {
  std::vector<uint64_t> lists(list_words(capacity));
  track_.move_lists_to(lists.data(), capacity);
  lists_ = std::move(lists);
  capacity_ = capacity;
}

FeatureRows feature_rows(const FeatureLayout& layout, const int32_t* ids, const std::vector<int64_t>& lengths,
                         const std::vector<int64_t>& num_bars) {
  FeatureRows rows;
  int64_t num_tokens = 0;
  for (const int64_t length : lengths) num_tokens += length;
  rows.ends.reserve(static_cast<size_t>(num_tokens));
  rows.times.reserve(static_cast<size_t>(num_tokens));
  rows.entries.resize(static_cast<size_t>(32 * num_tokens + layout.max_entries()));
  const auto most = static_cast<size_t>(layout.max_entries());
  size_t size = 0;
  for (size_t row = 0; row < lengths.size(); ++row) {
    FeatureState state(layout, num_bars[row]);
    for (int64_t index = 0; index < lengths[row]; ++index) {
      const int32_t id = *ids++;
      state.advance(id);
      if (rows.entries.size() < size + most) rows.entries.resize(2 * size + most);
      if (id != Vocabulary::kPadId) {
        FeatureEntry* first = rows.entries.data();
        size = static_cast<size_t>(state.write(first + size) - first);
      }
      rows.ends.push_back(static_cast<int64_t>(size));
      rows.times.push_back(state.now());
    }
  }
  rows.entries.resize(size);
  return rows;
}

}  // namespace amt::midi
