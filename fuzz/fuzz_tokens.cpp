// Any tokens of any legal vocabulary: they decode to music that a file keeps, and that encodes to what the grammar
// takes.
#include <cmath>
#include <memory>

#include "claims.h"
#include "inputs.h"
#include "state_features.h"

using namespace amt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Bytes bytes(data, size);
  const midi::Vocabulary vocabulary(fuzz::any_vocabulary(bytes));
  const bool has_wild_ids = bytes.rarely(8);
  const bool only_fill = bytes.rarely(8), has_features = bytes.rarely(4);
  std::vector<int32_t> given;
  while (bytes.size() > 0) {
    given.push_back(has_wild_ids ? static_cast<int32_t>(bytes.number(4))
                                 : static_cast<int32_t>(bytes.number(2) % static_cast<uint64_t>(vocabulary.size())));
  }
  const std::unique_ptr<int32_t[]> ids(new int32_t[given.size()]);
  std::copy(given.begin(), given.end(), ids.get());
  const auto is_token = [&](int32_t id) { return id >= 0 && id < vocabulary.size(); };
  const auto end = std::find(given.begin(), given.end(), midi::Vocabulary::kEosId);  // what follows is not read
  given.erase(end == given.end() ? end : end + 1, given.end());
  const bool are_tokens = std::all_of(given.begin(), given.end(), is_token);
  if (has_features && are_tokens && vocabulary.config().is_score) {  // features take any tokens
    midi::FeatureConfig config{vocabulary.config(), {}};
    config.features.set();
    if (!vocabulary.config().has_plans_and_edits) {
      for (size_t feature = 14; feature < midi::kNumFeatures; ++feature) config.features.reset(feature);
    }
    const midi::FeatureLayout layout(config);
    const midi::FeatureRows rows =
        midi::feature_rows(layout, ids.get(), {static_cast<int64_t>(given.size())}, {int64_t{bytes.next()}});
    for (const midi::FeatureEntry& entry : rows.entries) {
      fuzz::claim(entry.column >= 0 && entry.column < layout.num_columns(), "a feature has a column", entry.column);
      fuzz::claim(std::isfinite(layout.value(entry)), "a feature is a number");
    }
  }
  midi::Decoding decoding;
  try {
    decoding = midi::decode(ids.get(), given.size(), vocabulary, only_fill);
  } catch (const std::invalid_argument& error) {
    fuzz::claim(!are_tokens || std::strstr(error.what(), "longer than a MIDI file") != nullptr, error.what());
    return 0;
  }
  fuzz::claim(are_tokens, "what is no token is refused");
  for (const midi::Note& note : decoding.data.notes) {
    fuzz::claim(note.start_ticks >= 0 && note.end_ticks > note.start_ticks, "a note has a length");
    fuzz::claim(note.velocity >= 1 && note.velocity < 128, "a note has a velocity");
  }
  fuzz::claim_file_keeps(decoding.data, false);
  const std::vector<int32_t> encoded = midi::encode(decoding.data, vocabulary).ids;
  fuzz::claim_grammar_takes(encoded, midi::Grammar(vocabulary, {}));
  fuzz::claim_round_trip(encoded, vocabulary);
  return 0;
}
