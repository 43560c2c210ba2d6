// The plan in the grammar: sections and chords between the header and the music. docs/tokens.md, "Grammar".
#pragma once

#include "grammar_place.h"

namespace amt::midi {

// Two chords of a section that are equal would be one, unless that is as long as one may be.
AMT_HD inline bool GrammarPlace::is_plan_allowed(Event event) const {
  if (!is_of_plan(event.kind) || plan_at_ >= rules_->plan_half_bars) return false;
  if (event.kind == Kind::kSection) {
    return (plan_last_ == PlanLast::kNothing || plan_last_ == PlanLast::kChord) &&
           (!rules_->gives_sections || event.value == rules_->sections[plan_at_]);
  }
  if (plan_last_ == PlanLast::kNothing || needs_section()) return false;
  if (event.kind == Kind::kBars) {
    return plan_last_ != PlanLast::kBars && event.value != plan_half_bars_ && may_last(event.value);
  }
  return plan_half_bars_ > 0 && may_last(plan_half_bars_) &&
         (!rules_->gives_chords || event.value == rules_->chords[plan_at_]) &&
         (event.value != plan_chord_ || plan_chord_half_bars_ == kMaxHalfBars);
}

AMT_HD inline bool GrammarPlace::may_last(int half_bars) const {
  const int left = rules_->stretch_end(plan_at_) - plan_at_;
  const bool is_all_given = rules_->gives_sections && rules_->gives_chords;
  return is_all_given ? half_bars == smaller<int>(left, kMaxHalfBars) : half_bars <= left;
}

AMT_HD inline bool GrammarPlace::needs_section_after(int chord, int half_bars, int half_bar) const {
  if (half_bar >= rules_->plan_half_bars) return false;
  const bool goes_on = rules_->gives_chords && rules_->chords[half_bar] == chord && half_bars < kMaxHalfBars;
  return goes_on || rules_->has_given_section(half_bar);
}

AMT_HD inline bool GrammarPlace::may_end_plan() const {
  if (rules_->is_plan_given()) return plan_at_ == rules_->plan_half_bars;
  return plan_last_ == PlanLast::kNothing || plan_last_ == PlanLast::kChord;
}

AMT_HD inline int64_t GrammarPlace::tokens_to_end_plan() const {
  if (!rules_->is_plan_given()) {
    return plan_last_ == PlanLast::kSection ? 2 : plan_last_ == PlanLast::kBars ? 1 : 0;
  }
  if (plan_last_ == PlanLast::kNothing) return 1 + rules_->plan_tokens_from[0];
  if (plan_last_ != PlanLast::kBars) return needs_section() + rules_->plan_tokens_from[plan_at_];
  const int chord = rules_->gives_chords ? rules_->chords[plan_at_] : 0, after = plan_at_ + plan_half_bars_;
  return 1 + needs_section_after(chord, plan_half_bars_, after) + rules_->plan_tokens_from[after];
}

AMT_HD inline void GrammarPlace::go_on_with_plan(Event event) {
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
