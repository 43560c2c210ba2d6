// State features: what is true of the music after each token. docs/features.md is the definition, and
// amt/midi/reference/features.py the twin in plain Python.
// (Not "features.h": the C library has a header of that name.)
//
// The features of a token are a sparse vector: a list of (column, number). Numbers are whole; `FeatureLayout::value`
// makes of them what a model reads.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "holes.h"
#include "named_values.h"
#include "plan.h"
#include "vocabulary.h"

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

struct FeatureEntry {
  int16_t column, number;
};

// Which columns each feature has.
class FeatureLayout {
 public:
  // Throws std::invalid_argument for a vocabulary without programs and bars.
  explicit FeatureLayout(FeatureConfig config);
  // What the text describes by name, see named_values.h. Throws std::invalid_argument.
  explicit FeatureLayout(std::string_view text) : FeatureLayout(from_text<FeatureConfig>(text)) {}

  const Vocabulary& vocabulary() const { return vocabulary_; }
  int num_columns() const { return num_columns_; }
  // The most entries that one token can have.
  int max_entries() const { return max_entries_; }
  // -1: the feature is left out.
  int first_column(Feature feature) const { return first_[static_cast<size_t>(feature)]; }
  // What a model reads for an entry.
  float value(FeatureEntry entry) const;

 private:
  enum class Rule : uint8_t { kNumber, kAge, kRecency };

  Vocabulary vocabulary_;
  std::array<int, kNumFeatures> first_{};
  int num_columns_ = 0, max_entries_ = 0;
  std::vector<Rule> rules_;  // of each column
};

// What has been said so far, as far as the features tell of it. Takes any ids; what no canonical sequence has does
// something simple and never fails.
class FeatureState {
 public:
  // num_bars: how many bars the piece is to have; 0: unknown.
  explicit FeatureState(const FeatureLayout& layout, int64_t num_bars = 0);

  void advance(int id);
  // Writes the entries of the last token, by ascending column; at most layout.max_entries(). Returns their end.
  FeatureEntry* write(FeatureEntry* out) const;

  int64_t num_tokens() const { return num_tokens_; }  // advanced by
  int64_t now() const { return now_; }                // the step
  // How many bars have begun, but one that has lasted for no time yet.
  int64_t num_bars_begun() const { return bar_ + (step_in_bar_ > 0 ? 1 : 0); }

 private:
  struct SoundingNote {
    int64_t start;
    int32_t key;  // program * kNumPitches + pitch
    int program() const { return key / kNumPitches; }
    int pitch() const { return key % kNumPitches; }
  };
  struct PlannedChord {
    int end;  // its half bar
    int section, chord;
    bool begins_section;
  };
  struct HeardProgram {
    int64_t last_note_on;
    int32_t program;
  };

  // What a fill hears of its context: a note_on, a note_off or a time_signature, and its step.
  struct ContextEvent {
    int64_t step;
    Kind kind;
    uint8_t value, program;
  };
  enum class Edit : uint8_t { kNone, kContext, kFill };  // which part of an edit this is, if it is one

  int own_program() const { return program_ == kNumPrograms ? 0 : program_; }
  void hear(int program);
  void note_on(int pitch);
  void note_off(int pitch);
  void keep(Event event);
  void begin_part();
  // Lets time pass; in a fill, the context goes by.
  void shift(int64_t steps);
  void move(int64_t steps);
  void count(int pitch, int change);
  void take_plan(Event event);
  // Goes on to the chord of the plan that is in force now, and finds the end of its section.
  void follow_plan();
  int num_planned() const { return plan_ ? static_cast<int>(plan_->size()) : 0; }
  int planned_half_bars() const { return num_planned() > 0 ? plan_->back().end : 0; }
  int64_t half_bar() const { return 2 * now_ / plan_bar_steps_; }
  // The bar; while the plan is written, that which it has come to.
  int64_t shown_bar() const { return has_begun_ ? bar_ : planned_half_bars() / 2; }
  void begin_metre(int index);
  int16_t age(int64_t start) const;
  FeatureEntry* write_place(FeatureEntry* out) const;
  FeatureEntry* write_programs(FeatureEntry* out) const;
  FeatureEntry* write_pitches(FeatureEntry* out) const;
  FeatureEntry* write_plan(FeatureEntry* out) const;

  const FeatureLayout* layout_;
  int64_t num_bars_;
  int64_t num_tokens_ = 0, now_ = 0;
  int64_t bar_ = 0, step_in_bar_ = 0, bar_steps_;
  int metre_, program_ = kNumPrograms, velocity_;
  std::vector<SoundingNote> sounding_;  // by ascending key
  std::vector<HeardProgram> heard_;     // by ascending program
  std::array<uint16_t, kNumPitches> pitch_counts_{};
  std::array<uint64_t, 2> pitches_{};  // a bit for each that sounds
  Edit edit_ = Edit::kNone;
  int64_t fill_end_ = 0;  // of the part that is being filled
  HoleTrack holes_;
  // The notes of a context, and all time signatures; states that are copies share it until one of them adds to it.
  std::shared_ptr<std::vector<ContextEvent>> context_;
  size_t num_heard_ = 0;                   // events of the context up to now, in a fill
  std::vector<int32_t> context_sounding_;  // keys of the context's notes that sound, ascending, in a fill

  // The plan, which copies share; who writes on at one that is shared makes it its own first.
  std::shared_ptr<std::vector<PlannedChord>> plan_;
  bool has_begun_ = false;       // the music: no plan may come any more
  int section_ = kNumSections;   // the last one that was said
  bool begins_section_ = false;  // and no chord since
  int half_bars_ = 0;            // that the next chord of the plan lasts
  int64_t plan_bar_steps_ = 1;   // of the bars that the plan counts in
  int place_ = 0;                // in the plan, of the chord in force
  int64_t section_end_ = 0;      // the half bar at which its section ends
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
