// The plan in the grammar: sections and chords between the header and the music. docs/tokens.md, "Grammar".
#include <algorithm>

#include "grammar.h"

namespace amt::midi {

// Two chords of a section that are equal would be one, unless that is as long as one may be.
bool GrammarState::is_plan_allowed(Event event) const {
  if (event.kind != Kind::kSection && event.kind != Kind::kBars && event.kind != Kind::kChord) return false;
  if (plan_at_ >= grammar_->plan_half_bars()) return false;
  if (event.kind == Kind::kSection) {
    const std::vector<int>& sections = constraints().plan_sections;
    return (plan_last_ == PlanLast::kNothing || plan_last_ == PlanLast::kChord) &&
           (sections.empty() || event.value == sections[static_cast<size_t>(plan_at_)]);
  }
  if (plan_last_ == PlanLast::kNothing || needs_section()) return false;
  if (event.kind == Kind::kBars) {
    return plan_last_ != PlanLast::kBars && event.value != plan_half_bars_ && may_last(event.value);
  }
  const std::vector<int>& chords = constraints().plan_chords;
  return plan_half_bars_ > 0 && may_last(plan_half_bars_) &&
         (chords.empty() || event.value == chords[static_cast<size_t>(plan_at_)]) &&
         (event.value != plan_chord_ || plan_chord_half_bars_ == kMaxHalfBars);
}

void GrammarState::plan_allowed(uint8_t* mask) const {
  const auto allow = [this, mask](int first, int num) {
    for (int id = first; id < first + num; ++id) mask[id] = is_plan_allowed(vocabulary().event(id));
  };
  allow(vocabulary().section(0), kNumSections);
  allow(vocabulary().chord(0), kNumChords);
  allow(vocabulary().bars(1), kMaxHalfBars);
}

bool GrammarState::may_last(int half_bars) const {
  const int left = grammar_->stretch_end(plan_at_) - plan_at_;
  const bool is_all_given = !constraints().plan_sections.empty() && !constraints().plan_chords.empty();
  return is_all_given ? half_bars == std::min(left, kMaxHalfBars) : half_bars <= left;
}

bool GrammarState::needs_section_after(int chord, int half_bars, int half_bar) const {
  if (half_bar >= grammar_->plan_half_bars()) return false;
  const std::vector<int>& chords = constraints().plan_chords;
  const bool goes_on = !chords.empty() && chords[static_cast<size_t>(half_bar)] == chord && half_bars < kMaxHalfBars;
  return goes_on || grammar_->has_given_section(half_bar);
}

bool GrammarState::may_end_plan() const {
  if (grammar_->is_plan_given()) return plan_at_ == grammar_->plan_half_bars();
  return plan_last_ == PlanLast::kNothing || plan_last_ == PlanLast::kChord;
}

int64_t GrammarState::tokens_to_end_plan() const {
  if (!grammar_->is_plan_given()) {
    return plan_last_ == PlanLast::kSection ? 2 : plan_last_ == PlanLast::kBars ? 1 : 0;
  }
  if (plan_last_ == PlanLast::kNothing) return 1 + grammar_->plan_tokens_from(0);
  if (plan_last_ != PlanLast::kBars) return needs_section() + grammar_->plan_tokens_from(plan_at_);
  const std::vector<int>& chords = constraints().plan_chords;
  const int chord = chords.empty() ? 0 : chords[static_cast<size_t>(plan_at_)], after = plan_at_ + plan_half_bars_;
  return 1 + needs_section_after(chord, plan_half_bars_, after) + grammar_->plan_tokens_from(after);
}

void GrammarState::apply_to_plan(Event event) {
  if (event.kind == Kind::kSection) {
    plan_last_ = PlanLast::kSection;
    plan_chord_ = -1;
  } else if (event.kind == Kind::kBars) {
    plan_last_ = PlanLast::kBars;
    plan_half_bars_ = event.value;
  } else {
    plan_last_ = PlanLast::kChord;
    plan_at_ += plan_half_bars_;
    plan_chord_ = event.value;
    plan_chord_half_bars_ = plan_half_bars_;
  }
}

}  // namespace amt::midi
