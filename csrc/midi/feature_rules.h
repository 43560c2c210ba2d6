// Which columns the state features have, as plain data for host and device. `FeatureLayout` in state_features.h makes
// it.
#pragma once

#include <cstdint>
#include <type_traits>

#include "vocabulary_ids.h"

namespace amt::midi {

// In the order of their columns. A new one goes to the end, so that the numbers of the others stay.
enum class Feature : uint8_t {
  kStepInBeat,
  kBeatInBar,
  kMetre,
  kBar,
  kBarsLeft,
  kProgram,
  kVelocity,
  kNumSounding,
  kProgramNotes,
  kProgramAges,
  kProgramsHeard,
  kOwnPitches,
  kOwnAges,
  kPitches,
  kSection,
  kChord,
  kNextChord,
  kSectionLeft,
};
constexpr int kNumFeatures = 18;

struct FeatureEntry {
  int16_t column, number;
};

struct FeatureRules {
  // The last column of each of these stands for itself and all above it.
  static constexpr int kNumBeats = 32, kNumBars = 64, kNumCounts = 33;
  static constexpr int kNumMetres = VocabularyIds::kMaxNumerator * VocabularyIds::kNumDenominators;
  static constexpr int kNumBarsLeft = 25;
  static constexpr int kLargestNumber = 32767;

  VocabularyIds ids;
  int first[kNumFeatures];  // the first column of each; -1: it is left out
  int num_columns;
  int max_entries;  // that one token can have

  AMT_HD int first_of(Feature feature) const { return first[static_cast<int>(feature)]; }
  AMT_HD bool is_of(Feature feature, int size, int column) const {
    return first_of(feature) >= 0 && first_of(feature) <= column && column < first_of(feature) + size;
  }
  AMT_HD bool is_age(int column) const {
    return is_of(Feature::kProgramAges, kNumPrograms, column) || is_of(Feature::kOwnAges, kNumPitches, column);
  }
  AMT_HD bool is_recency(int column) const { return is_of(Feature::kProgramsHeard, kNumPrograms, column); }
  // What a model reads for an entry. table: see FeatureLayout::value_table.
  AMT_HD float value(FeatureEntry entry, const float* table) const {
    if (is_age(entry.column)) return table[entry.number];
    return is_recency(entry.column) ? table[kLargestNumber + 1 + entry.number] : static_cast<float>(entry.number);
  }
};

static_assert(std::is_trivially_copyable_v<FeatureRules>, "rules are copied to a GPU as bytes");

}  // namespace amt::midi
