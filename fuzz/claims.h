// What must hold of any music: a claim that does not is a crash, so that libFuzzer keeps the input.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "grammar.h"
#include "smf.h"
#include "tokenizer.h"

namespace amt::fuzz {

inline void claim(bool holds, const char* what, long long number = 0) {
  if (holds) return;
  std::fprintf(stderr, "this does not hold: %s (%lld)\n", what, number);
  __builtin_trap();
}

template <typename Item, typename Fields>
auto sorted_fields(const std::vector<Item>& items, Fields fields) {
  std::vector<decltype(fields(items[0]))> rows;
  for (const Item& item : items) rows.push_back(fields(item));
  std::sort(rows.begin(), rows.end());
  return rows;
}

inline void claim_same_music(const midi::MidiData& a, const midi::MidiData& b) {
  const auto note = [](const midi::Note& n) {
    return std::make_tuple(n.start_ticks, n.end_ticks, n.pitch, n.velocity, n.program, n.is_drum);
  };
  const auto pedal = [](const midi::PedalSpan& p) {
    return std::make_tuple(p.start_ticks, p.end_ticks, p.program, p.is_drum);
  };
  const auto tempo = [](const midi::Tempo& t) { return std::make_pair(t.tick, t.us_per_beat); };
  const auto metre = [](const midi::TimeSignature& t) { return std::make_tuple(t.tick, t.numerator, t.denominator); };
  const auto key = [](const midi::KeySignature& k) { return std::make_tuple(k.tick, k.sharps, k.is_minor); };
  const auto chord = [](const midi::PlanChord& c) { return std::make_tuple(c.section, c.chord, c.half_bars); };
  claim(sorted_fields(a.notes, note) == sorted_fields(b.notes, note), "notes are the same");
  claim(sorted_fields(a.pedals, pedal) == sorted_fields(b.pedals, pedal), "pedals are the same");
  claim(sorted_fields(a.tempos, tempo) == sorted_fields(b.tempos, tempo), "tempos are the same");
  claim(sorted_fields(a.time_signatures, metre) == sorted_fields(b.time_signatures, metre), "metres are the same");
  claim(sorted_fields(a.key_signatures, key) == sorted_fields(b.key_signatures, key), "keys are the same");
  claim(sorted_fields(a.plan, chord) == sorted_fields(b.plan, chord), "plans are the same");
  claim(a.ticks_per_beat == b.ticks_per_beat, "ticks per beat are the same");
}

// A written file reads as what was written, without a repair, and writes as the same bytes. can_be_refused: the writer
// may say that there are more tracks than a file has.
inline void claim_file_keeps(const midi::MidiData& data, bool can_be_refused) {
  std::string bytes;
  try {
    bytes = midi::write_smf(data);
  } catch (const std::invalid_argument& error) {
    claim(can_be_refused && std::strstr(error.what(), "more than 255") != nullptr, error.what());
    return;
  }
  const midi::MidiData read = midi::read_smf(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), true);
  claim(read.repairs.empty(), "a written file needs no repair");
  claim_same_music(data, read);
  claim(midi::write_smf(read) == bytes, "a file that was read is written as the same bytes");
}

inline void claim_grammar_takes(const std::vector<int32_t>& ids, const midi::Grammar& grammar) {
  midi::GrammarState state(grammar);
  for (size_t i = 0; i < ids.size(); ++i) {
    claim(state.is_allowed(ids[i]), "the grammar takes what the encoder gives", static_cast<long long>(i));
    state.advance(ids[i]);
  }
  claim(state.is_finished(), "the encoder ends its music");
}

// Tokens of an encoder, or of a walk through the grammar: they decode without a loss, and encode as they were.
inline void claim_round_trip(const std::vector<int32_t>& ids, const midi::Vocabulary& vocabulary) {
  midi::Decoding decoding;
  try {
    decoding = midi::decode(ids.data(), ids.size(), vocabulary);
  } catch (const std::invalid_argument& error) {
    claim(std::strstr(error.what(), "longer than a MIDI file") != nullptr, error.what());
    return;
  }
  const midi::DecodeReport& report = decoding.report;
  claim(report.ignored_tokens == 0 && report.dropped_notes == 0 && report.closed_notes == 0, "nothing is lost");
  claim_file_keeps(decoding.data, false);
  const std::vector<int32_t> again = midi::encode(decoding.data, vocabulary).ids;
  if (again == ids) return;
  const size_t size = std::min(ids.size(), again.size());
  const auto place = std::mismatch(ids.begin(), ids.begin() + static_cast<int64_t>(size), again.begin()).first;
  claim(false, "decoded tokens encode as they were", place - ids.begin());
}

}  // namespace amt::fuzz
