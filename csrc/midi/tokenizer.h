// Notes to token ids and back. docs/tokens.md is the definition, amt/midi/reference/tokenizer.py the same in plain
// Python.
#pragma once

#include <cstdint>
#include <vector>

#include "notes.h"
#include "vocabulary.h"

namespace amt::midi {

// What could not be kept.
struct EncodeReport {
  int64_t num_notes = 0;
  int64_t kept_notes = 0;
  int64_t merged_notes = 0;
  int64_t truncated_notes = 0;
  int64_t lengthened_notes = 0;
  int64_t dropped_drums = 0;
  int64_t merged_programs = 0;
  int64_t sustained_notes = 0;
  int64_t dropped_time_signatures = 0;
  int64_t clamped_gaps = 0;
  int64_t clamped_steps = 0;
  int64_t moved_us_max = 0;
  int64_t dropped_kits = 0;
  int64_t dropped_drum_lengths = 0;
  int64_t dropped_pedals = 0;
  int64_t dropped_key_signatures = 0;
  int64_t clamped_tempos = 0;
  int64_t tempo_ppm_max = 0;
};

struct Encoding {
  std::vector<int32_t> ids;
  EncodeReport report;
};

Encoding encode(const MidiData& data, const Vocabulary& vocabulary);

struct DecodeReport {
  int64_t ignored_tokens = 0;
  int64_t dropped_notes = 0;
  int64_t closed_notes = 0;
};

struct Decoding {
  MidiData data;
  DecodeReport report;
};

// Throws std::invalid_argument for an id that is not in the vocabulary, and where the music is longer than a file can
// be. only_fill: of an edit's notes and pedals those of the fill alone.
Decoding decode(const int32_t* ids, size_t num_ids, const Vocabulary& vocabulary, bool only_fill = false);

}  // namespace amt::midi
