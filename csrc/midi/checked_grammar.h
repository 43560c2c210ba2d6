// A grammar from texts that anybody may have written: numbers out of range are refused before anything is made of them.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar.h"

namespace amt::midi {

// The ranges of Constraints in amt/midi/limits.py. Throws std::invalid_argument.
inline void check_ranges(const Constraints& given) {
  constexpr int64_t kMany = Constraints::kUnlimited;
  const auto check = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return;
    throw std::invalid_argument(std::string(name) + " must be between " + std::to_string(low) + " and " +
                                std::to_string(high) + ", got " + std::to_string(value));
  };
  const auto check_all = [&](const char* name, const auto& values, int64_t low, int64_t high) {
    for (const auto value : values) check(name, value, low, high);
  };
  check("max_polyphony", given.max_polyphony, 1, kMany);
  check_all("max_voices", given.max_voices, 1, kMany);
  check("max_top_run", given.max_top_run, 1, kMany);
  check_all("max_note_steps", given.max_note_steps, 1, kMany);
  check("min_steps", given.min_steps, 0, kMany);
  check("max_steps", given.max_steps, 1, kMany);
  check("min_us", given.min_us, 0, kMany);
  check("max_us", given.max_us, 1, kMany);
  check("min_bars", given.min_bars, 0, kMany);
  check("max_bars", given.max_bars, 1, kMany);
  check("max_rest_steps", given.max_rest_steps, 1, kMany);
  check("max_filler_tokens", given.max_filler_tokens, 1, kMany);
  check("entry_by_step", given.entry_by_step, 0, kMany);
  check("max_programs", given.max_programs, 1, kNumPrograms);
  check_all("min_pitch", given.min_pitch, 0, kNumPitches);
  check_all("max_pitch", given.max_pitch, -1, kNumPitches - 1);
  check("tempo_index", given.tempo_index, -1, 511);
  check("tempo_min_index", given.tempo_min_index, 0, 511);
  check("tempo_max_index", given.tempo_max_index, 0, 1 << 20);
  check("time_signature_index", given.time_signature_index, -1,
        Vocabulary::kMaxNumerator * Vocabulary::kNumDenominators - 1);
}

// What both texts describe by name, see named_values.h. Throws std::invalid_argument.
inline Grammar grammar_from(std::string_view vocabulary, std::string_view constraints) {
  Constraints given = from_text<Constraints>(constraints);
  check_ranges(given);
  return {Vocabulary(from_text<VocabularyConfig>(vocabulary)), std::move(given)};
}

}  // namespace amt::midi
