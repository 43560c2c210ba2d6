// The plan of a piece: its sections and their chords, decided before the notes. docs/tokens.md, "Plans", is the
// definition, amt/midi/plan.py the twin in plain Python.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace amt::midi {

constexpr int kMaxPlanHalfBars = 1024;

// A chord and how long it lasts, in half bars of the metre that the piece begins with.
struct PlanChord {
  static constexpr int kSameSection = -1;

  int section = kSameSection;  // that begins with it, or kSameSection
  int chord = 0;               // the value of its token
  int half_bars = 1;           // 1..kMaxHalfBars
};
using Plan = std::vector<PlanChord>;

// A chord behind the others. Equal neighbours in a section become one, up to kMaxHalfBars; a chord before the first
// section begins "other".
void append(Plan& plan, PlanChord chord);

// The tick at which a half bar of a metre begins, rounded down, but at most last_tick.
int32_t half_bar_tick(int64_t half_bar, int numerator, int64_t denominator, int ticks_per_beat, int32_t last_tick);

// The text of the marker for a chord in a file: "verse: Am7 (4 half bars)" begins a section, "F (2 half bars)" does
// not.
std::string marker_text(const PlanChord& chord);
// What a marker says; nothing if it is none of a plan's.
std::optional<PlanChord> parse_marker(std::string_view text);

}  // namespace amt::midi
