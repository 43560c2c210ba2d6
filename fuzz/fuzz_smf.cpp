// Any bytes: a file is read or refused, the music is written and read again, goes into tokens of each preset and back.
#include <memory>

#include "claims.h"
#include "inputs.h"

using namespace amt;

namespace {

const std::vector<midi::Grammar>& grammars() {
  static const auto* const all = new std::vector<midi::Grammar>{
      {midi::Vocabulary(fuzz::preset(true)), {}},
      {midi::Vocabulary(fuzz::preset(true, 2)), {}},
      {midi::Vocabulary(fuzz::preset(false)), {}},
  };
  return *all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::unique_ptr<uint8_t[]> bytes(new uint8_t[size]);  // of just that size, so that a byte beyond is seen
  std::copy_n(data, size, bytes.get());
  const auto end = static_cast<int64_t>(size);
  bool is_strict = true;
  try {
    fuzz::claim(midi::read_smf(bytes.get(), size, true).repairs.empty(), "a strict reader repairs nothing");
  } catch (const midi::MidiError& error) {
    is_strict = false;
    fuzz::claim(error.byte_offset() >= -1 && error.byte_offset() <= end, "an error names a byte of the file");
  }
  midi::MidiData music;
  try {
    music = midi::read_smf(bytes.get(), size, false);
  } catch (const midi::MidiError& error) {
    fuzz::claim(!is_strict, "what a strict reader takes, a lenient one takes");
    fuzz::claim(error.byte_offset() >= -1 && error.byte_offset() <= end, "an error names a byte of the file");
    return 0;
  }
  fuzz::claim(is_strict == music.repairs.empty(), "repairs are what a strict reader refuses");
  fuzz::claim(music.repairs.size() <= 257, "repairs are counted, not listed");
  fuzz::claim(music.ticks_per_beat >= 1 && music.ticks_per_beat <= 32767, "ticks per beat fit a file");
  for (const midi::Note& note : music.notes) {
    fuzz::claim(note.start_ticks >= 0 && note.end_ticks >= note.start_ticks, "a note ends after its start");
    fuzz::claim(note.pitch < 128 && note.program < 128 && note.velocity >= 1 && note.velocity < 128, "a note is one");
  }
  fuzz::claim_file_keeps(music, true);
  for (const midi::Grammar& grammar : grammars()) {
    std::vector<int32_t> ids;
    try {
      ids = midi::encode(music, grammar.vocabulary()).ids;
    } catch (const std::invalid_argument& error) {
      fuzz::claim(std::strstr(error.what(), "ends at step") != nullptr, error.what());
      continue;
    }
    fuzz::claim_grammar_takes(ids, grammar);
    fuzz::claim_round_trip(ids, grammar.vocabulary());
  }
  return 0;
}
