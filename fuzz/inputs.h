// Settings out of the bytes of a fuzz input: every legal one can come, and those at which limits meet come often.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>
#include <vector>

#include "checked_grammar.h"
#include "vocabulary.h"

namespace amt::fuzz {

// The bytes one after the other; zeros behind the end.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  size_t size() const { return size_; }
  uint8_t next() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  uint64_t number(int num_bytes) {
    uint64_t value = 0;
    for (int i = 0; i < num_bytes; ++i) value = value << 8 | next();
    return value;
  }
  int64_t below(int64_t count) {
    return static_cast<int64_t>(number(count > 256 ? 4 : 1) % static_cast<uint64_t>(count));
  }
  template <typename T>
  T one_of(std::initializer_list<T> values) {
    return *(values.begin() + below(static_cast<int64_t>(values.size())));
  }
  // One in `rarity`.
  bool rarely(int64_t rarity) { return below(rarity) == 1; }

 private:
  const uint8_t* data_;
  size_t size_;
};

// Steele et al. 2014, "Fast splittable pseudorandom number generators".
struct SplitMix {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }
};

inline std::vector<int> metronome_marks() {
  std::vector<int> marks;
  const auto add = [&](int low, int high, int step) {
    for (int bpm = low; bpm < high; bpm += step) marks.push_back(bpm);
  };
  add(20, 60, 2);
  add(60, 72, 3);
  add(72, 120, 4);
  add(120, 144, 6);
  add(144, 305, 8);
  return marks;
}

// The presets, as TokenizerConfig of amt/midi/config.py has them.
inline midi::VocabularyConfig preset(bool is_score, int version = 1) {
  midi::VocabularyConfig config;
  config.is_score = is_score;
  config.max_time_shift = is_score ? 96 : 100;
  config.max_gap_steps = is_score ? 1536 : 6000;
  config.tempos_bpm = metronome_marks();
  config.holds_velocity_by_program = config.has_plans_and_edits = version == 2;
  return config;
}

inline midi::VocabularyConfig any_vocabulary(Bytes& bytes) {
  const uint8_t kind = bytes.next();
  midi::VocabularyConfig config = preset(kind & 1, (kind & 3) == 3 ? 2 : 1);
  if (kind & 4) return config;
  config.step_ms = bytes.one_of({1, 2, 4, 5, 10, 20, 25, 50, 100});
  config.steps_per_beat = bytes.one_of({1, 2, 3, 4, 5, 12, 24, 97, 480, static_cast<int>(1 + bytes.below(960))});
  config.num_velocities = bytes.one_of({1, 2, 4, 8, 16, 32, 64});
  config.max_time_shift = static_cast<int>(1 + (kind & 8 ? bytes.below(4096) : bytes.below(16)));
  config.max_gap_steps = 1 + (kind & 16 ? bytes.below(1 << 20) : config.max_time_shift + bytes.below(8) - 4);
  config.max_gap_steps = std::max<int64_t>(1, config.max_gap_steps);
  if (kind & 32) {
    config.tempos_bpm.clear();
    int bpm = 3;
    for (int64_t left = 1 + bytes.below(5); left > 0 && bpm < 1000; --left) {
      config.tempos_bpm.push_back(bpm = static_cast<int>(std::min<int64_t>(1000, bpm + 1 + bytes.below(300))));
    }
  }
  return config;
}

// Constraints, most of them free, the others so tight that they meet. They may contradict each other.
inline midi::Constraints any_constraints(Bytes& bytes, const midi::VocabularyConfig& config) {
  midi::Constraints given;
  const auto maybe = [&](auto& member, int64_t low, int64_t count) {
    if (bytes.rarely(3)) member = static_cast<std::decay_t<decltype(member)>>(low + bytes.below(count));
  };
  maybe(given.max_polyphony, 1, 5);
  maybe(given.max_top_run, 1, 4);
  maybe(given.max_note_steps, 1, 12);
  maybe(given.min_steps, 0, 13);
  maybe(given.max_steps, 1, 255);
  maybe(given.min_us, 0, 1 << 20);
  maybe(given.max_us, 1, 1 << 22);
  maybe(given.max_rest_steps, 1, 10);
  maybe(given.max_filler_tokens, 1, 12);
  if (bytes.rarely(3)) given.pitch_classes = std::bitset<12>(bytes.number(2));
  if (bytes.rarely(4)) {
    for (int program = 0; program < midi::kNumPrograms; ++program) given.min_pitch.push_back((program * 7) % 90);
  }
  if (bytes.rarely(4)) {
    for (int program = 0; program < midi::kNumPrograms; ++program) given.max_pitch.push_back(127 - (program * 7) % 90);
  }
  if (!config.is_score) return given;
  maybe(given.min_bars, 0, 4);
  maybe(given.max_bars, 1, 4);
  given.whole_bars = bytes.rarely(2);
  const auto some_programs = [&](auto& programs) {
    programs.reset();
    for (int64_t left = 1 + bytes.below(3); left > 0; --left) programs.set(static_cast<size_t>(bytes.below(129)));
    if (bytes.rarely(2)) programs.set(midi::kDrums);
  };
  if (bytes.rarely(3)) some_programs(given.programs);
  if (bytes.rarely(3)) some_programs(given.required_programs);
  maybe(given.entry_by_step, 0, 5);
  maybe(given.max_programs, 1, 3);
  const auto num_tempos = static_cast<int64_t>(config.tempos_bpm.size());
  maybe(given.tempo_index, 0, num_tempos);
  maybe(given.tempo_min_index, 0, num_tempos);
  maybe(given.tempo_max_index, 0, num_tempos);
  maybe(given.time_signature_index, 0, 80);
  if (!config.has_plans_and_edits) return given;
  maybe(given.max_plan_half_bars, 0, 80);
  const uint8_t kind = bytes.next();
  const int64_t half_bars = 1 + bytes.below(70);
  SplitMix random{bytes.number(2)};
  for (int64_t at = 0; at < half_bars; ++at) {
    const bool begins = at == 0 || random.next() % 4 == 0;
    const int section = begins ? static_cast<int>(random.next() % midi::kNumSections) : midi::PlanChord::kSameSection;
    if (kind % 4 == 1 || kind % 4 == 3) given.plan_sections.push_back(section);
    if (kind % 4 >= 2) given.plan_chords.push_back(static_cast<int>(random.next() % 3));
  }
  return given;
}

}  // namespace amt::fuzz
