// State features: what is true of the music after each token. docs/features.md is the definition, and
// amt/midi/reference/features.py the twin in plain Python.
// (Not "features.h": the C library has a header of that name.)
//
// The features of a token are a sparse vector: a list of (column, number). Numbers are whole; `FeatureLayout::value`
// makes of them what a model reads.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

#include "feature_rules.h"
#include "feature_track.h"
#include "named_values.h"
#include "vocabulary.h"

namespace amt::midi {

struct FeatureConfig {
  VocabularyConfig vocabulary;
  std::bitset<kNumFeatures> features;  // those that there are
};

// See midi/named_values.h.
template <typename Visitor>
void visit_fields(FeatureConfig& config, Visitor& visit) {
  visit_fields(config.vocabulary, visit);
  visit("features", config.features);
}

// Which columns each feature has.
class FeatureLayout {
 public:
  // Throws std::invalid_argument for a vocabulary without programs and bars.
  explicit FeatureLayout(FeatureConfig config);
  // What the text describes by name, see named_values.h. Throws std::invalid_argument.
  explicit FeatureLayout(std::string_view text) : FeatureLayout(from_text<FeatureConfig>(text)) {}

  const Vocabulary& vocabulary() const { return vocabulary_; }
  // What states read; to be copied to a GPU as bytes.
  const FeatureRules& rules() const { return rules_; }
  int num_columns() const { return rules_.num_columns; }
  // The most entries that one token can have.
  int max_entries() const { return rules_.max_entries; }
  // What a model reads for an entry.
  float value(FeatureEntry entry) const;
  // What it reads for the numbers from 0 to the largest, of ages and then of recencies: for FeatureRules::value.
  std::vector<float> value_table() const;

 private:
  Vocabulary vocabulary_;
  FeatureRules rules_{};
};

// A track that owns its lists: a value, with room for any number of tokens.
class FeatureState {
 public:
  // num_bars: how many bars the piece is to have; 0: unknown.
  explicit FeatureState(const FeatureLayout& layout, int64_t num_bars = 0);
  FeatureState(const FeatureState& other);
  FeatureState& operator=(const FeatureState& other);

  void advance(int id) {
    if (track_.is_full()) grow(2 * capacity_);
    track_.advance(id);
  }
  FeatureEntry* write(FeatureEntry* out) const { return track_.write(out); }

  int64_t num_tokens() const { return track_.num_tokens(); }
  int64_t now() const { return track_.now(); }
  int64_t num_bars_begun() const { return track_.num_bars_begun(); }

 private:
  // Moves the lists to where there is more room.
  void grow(int64_t capacity);

  int64_t capacity_;
  std::vector<uint64_t> lists_;
  FeatureTrack track_;
};

// The features of rows of ids, all one after the other.
struct FeatureRows {
  std::vector<int64_t> ends;  // of each token: where its entries end; they begin where those of the token before end
  std::vector<FeatureEntry> entries;
  std::vector<int64_t> times;  // of each token: the step after it
};

// lengths: of each row; num_bars: of each row, see FeatureState. A pad has no entries.
FeatureRows feature_rows(const FeatureLayout& layout, const int32_t* ids, const std::vector<int64_t>& lengths,
                         const std::vector<int64_t>& num_bars);

}  // namespace amt::midi
