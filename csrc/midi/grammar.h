// Which token may come next: accepts exactly the beginnings of canonical sequences. docs/tokens.md, "Grammar".
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

#include "named_values.h"
#include "vocabulary.h"

namespace amt::midi {

// What the music may not do beyond being canonical. Its twin is amt/midi/limits.py.
struct Constraints {
  int64_t max_polyphony = kNumPrograms * kNumPitches;  // sounding non-drum notes
  int64_t max_steps = int64_t{1} << 40;
  std::bitset<kNumPrograms> programs = std::bitset<kNumPrograms>().set();
  std::bitset<12> pitch_classes = std::bitset<12>().set();  // of non-drum notes
  int tempo_index = -1;                                     // -1: free
  int time_signature_index = -1;
};

template <typename Visitor>
void visit_fields(Constraints& constraints, Visitor& visit) {
  visit("max_polyphony", constraints.max_polyphony);
  visit("max_steps", constraints.max_steps);
  visit("programs", constraints.programs);
  visit("pitch_classes", constraints.pitch_classes);
  visit("tempo_index", constraints.tempo_index);
  visit("time_signature_index", constraints.time_signature_index);
}

class Grammar {
 public:
  // Throws std::invalid_argument if no note could ever be played.
  Grammar(Vocabulary vocabulary, Constraints constraints);
  // What both texts describe by name, see named_values.h. Throws std::invalid_argument.
  Grammar(std::string_view vocabulary, std::string_view constraints)
      : Grammar(Vocabulary(from_text<VocabularyConfig>(vocabulary)), from_text<Constraints>(constraints)) {}

  const Vocabulary& vocabulary() const { return vocabulary_; }
  const Constraints& constraints() const { return constraints_; }

 private:
  Vocabulary vocabulary_;
  Constraints constraints_;
};

class GrammarState {
 public:
  explicit GrammarState(const Grammar& grammar);

  // Makes a state that was copied as bytes belong to `grammar`: the same one, perhaps somewhere else.
  void bind(const Grammar& grammar) { grammar_ = &grammar; }

  bool is_allowed(int id) const;
  // mask: vocabulary size. With remaining >= 0, only tokens from which the sequence can still be ended in time, `eos`
  // included; if there is none, the budget is ignored.
  void allowed(uint8_t* mask, int64_t remaining) const;
  // Throws std::invalid_argument for a token that is not allowed, and leaves the state as it was.
  void advance(int id);

  bool is_finished() const { return stage_ == Stage::kFinished; }
  int64_t now() const { return now_; }
  int64_t num_sounding() const { return num_sounding_; }
  // The length of one ending that always works.
  int64_t tokens_to_close() const;

 private:
  enum class Stage : uint8_t { kStart, kTimeSignature, kTempo, kBody, kFinished };
  enum class Last : uint8_t { kEvent, kShift, kLargestShift, kProgram, kVelocity };
  enum Phase : int8_t { kNoPhase = -1, kOffs, kPedalUp, kPedalDown, kOns };

  const Vocabulary& vocabulary() const { return grammar_->vocabulary(); }
  const Constraints& constraints() const { return grammar_->constraints(); }
  bool is_score() const { return vocabulary().config().is_score; }
  bool is_dangling() const { return last_ == Last::kProgram || last_ == Last::kVelocity; }
  bool is_after_shift() const { return last_ == Last::kShift || last_ == Last::kLargestShift; }

  static constexpr int kNone = -2;  // an index that no change has

  bool is_body_allowed(Event event) const;
  void body_allowed(uint8_t* mask) const;
  int64_t tokens_to_close_after(Event event) const;
  bool may_note_on(int program, int pitch) const;
  bool may_any_note_on(int program) const;
  bool may_note_off(int pitch) const;
  bool may_time_shift(int64_t steps) const;
  bool may_change(Kind kind, int index) const;
  bool may_pedal_on(int program) const;
  bool may_program(int program) const;
  bool may_eos() const;
  // The phase of the group that the next event would belong to: the current group's, or that of a fresh one.
  Phase phase_of(int program) const { return group_ == program ? phase_ : kNoPhase; }
  std::bitset<kNumPrograms> open_programs() const { return has_notes_ | has_pedal_; }
  bool is_open(int program) const { return has_notes_[program] || has_pedal_[program]; }
  bool is_any_open() const { return open_programs().any(); }
  bool is_any_open_below(int program) const { return (open_programs() << (kNumPrograms - program)).any(); }
  bool is_any_sounding_below(int program, int pitch) const {
    return (sounding_[program] << (kNumPitches - pitch)).any();
  }
  // At the last step everything closes in order: is it this program's turn, and (pitch >= 0) this note's?
  bool may_close(int program, int pitch) const;
  bool can_close_now() const;
  void apply(Event event);

  const Grammar* grammar_;
  std::array<std::bitset<kNumPitches>, kNumPrograms> sounding_{};
  std::bitset<kNumPrograms> has_notes_, has_pedal_;  // which programs do
  int64_t num_sounding_ = 0;
  int64_t now_ = 0, gap_ = 0;
  int program_, velocity_ = -1, tempo_ = -1, time_signature_ = -1;
  int group_ = -1, last_pitch_ = -1;
  int num_changes_now_ = 0;  // 1: a time signature, 2: a tempo came at this step
  Stage stage_ = Stage::kStart;
  Last last_ = Last::kEvent;
  Phase phase_ = kNoPhase;
};

static_assert(std::is_trivially_copyable_v<GrammarState>, "states are kept in blocks of memory that may move");

}  // namespace amt::midi
