#include <algorithm>
#include <optional>

#include "prefixes.h"

namespace amt::cuda {

Prefixes::Prefixes(const engine::GenerationPlan& plan, int64_t num_texts) : num_texts_(num_texts) {
  for (const engine::GroupPlan& asked : plan.groups) {
    prompts_.push_back({{asked.prefix.begin(), asked.prefix.end() - 1}, asked.num_bars});
    max_rows_ += num_texts * static_cast<int64_t>(asked.prefix.size() - 1);
  }
  max_rows_ = std::min(max_rows_, kMostRows);
}

void Prefixes::take(DeviceBlock& block, int64_t max_entries, int64_t head_dim) {
  max_entries_ = max_entries;
  head_dim_ = head_dim;
  places_.segments = block.take(max_rows_, sizeof(Segment));
  places_.times = block.take(max_rows_, sizeof(int64_t));
  places_.token_ids = block.take(max_rows_, 4);
  places_.row_positions = block.take(max_rows_, 4);
  places_.row_prompts = block.take(max_rows_, 4);
  places_.num_entries = block.take(max_rows_, 4);
  places_.columns = block.take(max_rows_ * max_entries, 4);
  places_.values = block.take(max_rows_ * max_entries, 4);
  places_.end = block.num_bytes();
  places_.turns = block.take(max_rows_ * 2 * head_dim, 4);
}

// The rows of a pass as they are written, one after the other.
struct Prefixes::Writer {
  Writer(const Prefixes& own, const DeviceBlock& block)
      : own(own), block(block), bytes(static_cast<size_t>(own.places_.end - own.places_.segments)) {}

  template <typename T>
  T* at(int64_t place) {
    return reinterpret_cast<T*>(bytes.data() + (place - own.places_.segments));
  }
  template <typename T>
  const T* there(int64_t place) const {
    return reinterpret_cast<const T*>(block.at(place));
  }
  bool is_full() const { return num_rows == own.max_rows_ / own.num_texts_; }

  // A position of a prompt, behind the one before it or in a segment of its own.
  void add(int64_t prompt, int64_t position, const midi::FeatureLayout* layout, const midi::FeatureTrack* track) {
    const Places& places = own.places_;
    auto* segments = at<Segment>(places.segments);
    if (num_segments == 0 || segments[num_segments - 1].prompt != prompt) {
      segments[num_segments++] = {static_cast<int32_t>(prompt), static_cast<int32_t>(position), 0, num_rows};
    }
    longest_segment = std::max(longest_segment, ++segments[num_segments - 1].num_positions);
    at<int32_t>(places.token_ids)[num_rows] = own.prompts_[static_cast<size_t>(prompt)].token_ids[position];
    at<int32_t>(places.row_positions)[num_rows] = static_cast<int32_t>(position);
    at<int32_t>(places.row_prompts)[num_rows] = static_cast<int32_t>(prompt);
    at<int64_t>(places.times)[num_rows] = track == nullptr ? 0 : track->now();
    int32_t& num_entries = at<int32_t>(places.num_entries)[num_rows] = 0;
    if (track != nullptr) {
      entries.resize(static_cast<size_t>(own.max_entries_));
      num_entries = static_cast<int32_t>(track->write(entries.data()) - entries.data());
    }
    for (int32_t entry = 0; entry < num_entries; ++entry) {
      const int64_t place = num_rows * own.max_entries_ + entry;
      at<int32_t>(places.columns)[place] = entries[static_cast<size_t>(entry)].column;
      at<float>(places.values)[place] = layout->value(entries[static_cast<size_t>(entry)]);
    }
    ++num_rows;
  }

  // The same rows under the negative texts.
  void add_negatives() {
    const Places& places = own.places_;
    const auto num_prompts = static_cast<int32_t>(own.prompts_.size());
    const auto repeat = [&](auto* rows, int64_t num) { std::copy_n(rows, num, rows + num); };
    repeat(at<int64_t>(places.times), num_rows);
    for (const int64_t place : {places.token_ids, places.row_positions, places.row_prompts, places.num_entries}) {
      repeat(at<int32_t>(place), num_rows);
    }
    repeat(at<int32_t>(places.columns), num_rows * own.max_entries_);
    repeat(at<float>(places.values), num_rows * own.max_entries_);
    auto* segments = at<Segment>(places.segments);
    repeat(segments, num_segments);
    for (int32_t index = num_segments; index < 2 * num_segments; ++index) {
      segments[index].prompt += num_prompts;
      segments[index].first_row += num_rows;
    }
    for (int32_t row = num_rows; row < 2 * num_rows; ++row) at<int32_t>(places.row_prompts)[row] += num_prompts;
    num_rows *= 2;
    num_segments *= 2;
  }

  void run(const Stream& stream, const RunPass& run_pass) {
    if (num_rows == 0) return;
    if (own.num_texts_ == 2) add_negatives();
    const Places& places = own.places_;
    // What is copied may change as soon as this returns: it is memory that the GPU does not read itself.
    stream.to_device(block.at(places.segments), bytes.data(), bytes.size());
    auto* turns = own.head_dim_ == 0 ? nullptr : reinterpret_cast<float*>(block.at(places.turns));
    run_pass({there<Segment>(places.segments), there<int64_t>(places.times), there<int32_t>(places.token_ids),
              there<int32_t>(places.row_positions), there<int32_t>(places.row_prompts),
              there<int32_t>(places.num_entries), there<int32_t>(places.columns), there<float>(places.values), turns,
              num_rows, num_segments, longest_segment});
    num_rows = num_segments = longest_segment = 0;
  }

  const Prefixes& own;
  const DeviceBlock& block;
  std::vector<std::byte> bytes;
  std::vector<midi::FeatureEntry> entries;
  int32_t num_rows = 0, num_segments = 0, longest_segment = 0;
};

void Prefixes::read(const Stream& stream, const DeviceBlock& block, const midi::FeatureLayout* layout, int64_t capacity,
                    const RunPass& run, const KeepTrack& keep) {
  Writer writer(*this, block);
  std::vector<uint64_t> lists(layout == nullptr ? 0 : midi::FeatureTrack::list_bytes(capacity) / sizeof(uint64_t));
  for (int64_t prompt = 0; prompt < static_cast<int64_t>(prompts_.size()); ++prompt) {
    const Prompt& prefix = prompts_[static_cast<size_t>(prompt)];
    std::optional<midi::FeatureTrack> track;
    if (layout != nullptr) track.emplace(layout->rules(), prefix.num_bars, lists.data(), capacity);
    for (int64_t position = 0; position < static_cast<int64_t>(prefix.token_ids.size()); ++position) {
      if (writer.is_full()) writer.run(stream, run);
      if (track) track->advance(prefix.token_ids[static_cast<size_t>(position)]);
      writer.add(prompt, position, layout, track ? &*track : nullptr);
    }
    if (track) keep(prompt, *track, lists);
  }
  writer.run(stream, run);
}

}  // namespace amt::cuda
