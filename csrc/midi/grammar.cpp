// Its twin is amt/midi/reference/grammar.py.
#include "grammar.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

namespace amt::midi {

namespace {

std::bitset<kNumPitches> pitches_from(int pitch) { return std::bitset<kNumPitches>().set() << pitch; }

}  // namespace

Grammar::Grammar(Vocabulary vocabulary, Constraints constraints)
    : vocabulary_(std::move(vocabulary)), constraints_(std::move(constraints)) {
  Constraints& given = constraints_;
  const auto require = [](bool is_kept, const char* message) {
    if (!is_kept) throw std::invalid_argument(message);
  };
  if (!vocabulary_.config().is_score) given.programs &= std::bitset<kNumPrograms>(1);
  require(given.programs.any(), "programs leaves no instrument to play");
  require(given.pitch_classes.any(), "pitch_classes leaves no pitch to play");
  require(given.max_polyphony >= 1, "max_polyphony must be at least 1");
  require(given.max_voices.empty() || given.max_voices.size() == kNumPrograms, "max_voices must have 129 numbers");
  require(given.max_top_run >= 1, "max_top_run must be at least 1");
  for (const int64_t voices : given.max_voices) require(voices >= 1, "max_voices must be at least 1");
  if (given.max_note_steps.size() == 1) given.max_note_steps.resize(kNumPrograms, given.max_note_steps[0]);
  require(given.max_note_steps.empty() || given.max_note_steps.size() == kNumPrograms,
          "max_note_steps must have 1 or 129 numbers");
  for (const int64_t steps : given.max_note_steps) {
    require(steps >= 1 && steps <= Constraints::kUnlimited, "max_note_steps must be between 1 and 2^40");
  }
  require(given.max_steps >= 1, "max_steps must be at least 1");
  require(given.max_us >= 1 && given.max_us <= Constraints::kUnlimited, "max_us must be between 1 and 2^40");
  require(given.max_rest_steps >= 1, "max_rest_steps must be at least 1");
  require(given.max_filler_tokens >= 1, "max_filler_tokens must be at least 1");
  require(given.max_programs >= 1, "max_programs must be at least 1");
  require(given.min_steps <= given.max_steps, "min_steps is above max_steps");
  require(given.min_us <= given.max_us, "min_us is above max_us");
  require(given.max_bars >= 1 && given.max_bars <= Constraints::kUnlimited, "max_bars must be between 1 and 2^40");
  require(given.min_bars <= given.max_bars, "min_bars is above max_bars");
  tempo_max_ = given.tempo_max_index;
  if (given.tempo_index >= 0) given.tempo_min_index = tempo_max_ = given.tempo_index;
  require(given.tempo_min_index <= tempo_max_, "tempo_min_index is above tempo_max_index");
  if (vocabulary_.config().is_score) {
    require(given.tempo_min_index < static_cast<int>(vocabulary_.config().tempos_bpm.size()),
            "tempo_min_index is above the tempos that there are");
  }
  for (const std::vector<int>* pitches : {&given.min_pitch, &given.max_pitch}) {
    require(pitches->empty() || pitches->size() == kNumPrograms, "min_pitch and max_pitch must have 129 numbers");
  }
  for (int program = 0; program < kNumPrograms; ++program) {
    const int low = given.min_pitch.empty() ? 0 : given.min_pitch[program];
    const int high = given.max_pitch.empty() ? kNumPitches - 1 : given.max_pitch[program];
    for (int pitch = std::max(0, low); pitch <= std::min(high, kNumPitches - 1); ++pitch) {
      playable_[program][pitch] = program == kDrums || given.pitch_classes[pitch % 12];
    }
    if (playable_[program].none()) given.programs[program] = false;
  }
  require(given.programs.any(), "min_pitch, max_pitch and pitch_classes leave no pitch to play");
  require((given.required_programs & ~given.programs).none(), "a program of required_programs has nothing to play");
  require(static_cast<int64_t>(given.required_programs.count()) <= given.max_programs,
          "required_programs are more than max_programs");
  if (limits_notes()) given.max_polyphony = std::min<int64_t>(given.max_polyphony, kMaxTimedNotes);
  survey_plan();
  us_scale_ = vocabulary_.config().is_score ? vocabulary_.config().steps_per_beat : 1;
  if (vocabulary_.config().has_plans_and_edits) {
    VocabularyConfig config = vocabulary_.config();
    config.has_plans_and_edits = false;  // it is asked for rules alone
    of_context_ = std::make_shared<const Grammar>(Vocabulary(std::move(config)), Constraints());
  }
  has_demands_ =
      limits_rests() || given.required_programs.any() || given.min_steps > 0 || given.min_us > 0 || given.min_bars > 0;
}

void Grammar::survey_plan() {
  const std::vector<int>&sections = constraints_.plan_sections, &chords = constraints_.plan_chords;
  const auto require = [](bool is_kept, const char* message) {
    if (!is_kept) throw std::invalid_argument(message);
  };
  const int longest = constraints_.max_plan_half_bars;
  require(0 <= longest && longest <= kMaxPlanHalfBars, "max_plan_half_bars must be between 0 and 1024");
  plan_half_bars_ = longest;
  if (!is_plan_given()) return;
  require(has_plan(), "plan_sections and plan_chords need a vocabulary with plans");
  require(sections.empty() || chords.empty() || sections.size() == chords.size(),
          "plan_sections and plan_chords must have the same number of half bars");
  const size_t size = std::max(sections.size(), chords.size());
  require(size <= static_cast<size_t>(longest), "plan_sections and plan_chords have more than max_plan_half_bars");
  require(sections.empty() || sections[0] != PlanChord::kSameSection, "plan_sections must begin with a section");
  for (const int section : sections) require(-1 <= section && section < kNumSections, "plan_sections has no section");
  for (const int chord : chords) require(0 <= chord && chord < kNumChords, "plan_chords has no chord");
  plan_half_bars_ = static_cast<int>(size);
  stretch_end_.assign(size, plan_half_bars_);
  plan_tokens_from_.assign(size + 1, 0);
  for (int at = plan_half_bars_ - 1; at >= 0; --at) {
    if (at + 1 < plan_half_bars_) {
      const bool breaks = has_given_section(at + 1) || (!chords.empty() && chords[at + 1] != chords[at]);
      stretch_end_[at] = breaks ? at + 1 : stretch_end_[at + 1];
    }
    const int next = std::min(at + kMaxHalfBars, stretch_end_[at]);
    plan_tokens_from_[at] = 2 + has_given_section(next) + plan_tokens_from_[next];
  }
}

GrammarState::GrammarState(const Grammar& grammar)
    : grammar_(&grammar),
      num_programs_(static_cast<int64_t>(grammar.constraints().required_programs.count())),
      step_us_(is_score() ? 0 : int64_t{1000} * vocabulary().config().step_ms),
      bar_steps_(int64_t{4} * vocabulary().config().steps_per_beat),
      program_(is_score() ? -1 : 0) {
  velocities_.fill(-1);
}

bool GrammarState::is_allowed(int id) const {
  if (id < 0 || id >= vocabulary().size()) return false;
  const Event event = vocabulary().event(id);
  switch (stage_) {
    case Stage::kStart:
      return event.kind == Kind::kBos;
    case Stage::kTimeSignature:
      return event.kind == Kind::kTimeSignature &&
             (constraints().time_signature_index < 0 || event.value == constraints().time_signature_index);
    case Stage::kTempo:
      return event.kind == Kind::kTempo && grammar_->may_have_tempo(event.value);
    case Stage::kPlan:
      return is_plan_allowed(event) || (may_end_plan() && is_body_allowed(event));
    case Stage::kBody:
      return is_body_allowed(event);
    case Stage::kFinished:
      return false;
  }
  return false;
}

bool GrammarState::is_body_allowed(Event event) const {
  if (last_ == Last::kVelocity) return event.kind == Kind::kNoteOn && may_note_on(program_, event.value);
  switch (event.kind) {
    case Kind::kPad:
    case Kind::kBos:
      return false;
    case Kind::kEos:
      return may_eos();
    case Kind::kNoteOn:
      return program_ >= 0 && velocity() >= 0 && may_note_on(program_, event.value);
    case Kind::kNoteOff:
      return program_ >= 0 && may_note_off(event.value);
    case Kind::kTimeShift:
      return may_time_shift(event.value);
    case Kind::kVelocity:
      return program_ >= 0 && event.value != velocity() && may_any_note_on(program_);
    case Kind::kProgram:
      return may_program(event.value);
    case Kind::kTempo:
    case Kind::kTimeSignature:
      return may_change(event.kind, event.value);
    case Kind::kPedalOff:
      return program_ >= 0 && may_pedal_off();
    case Kind::kPedalOn:
      return program_ >= 0 && may_pedal_on(program_);
    case Kind::kSection:
    case Kind::kChord:
    case Kind::kBars:
      return false;
    case Kind::kEdit:
      return stage_ == Stage::kPlan;
    case Kind::kHole:
      return may_hole(event.value);
    case Kind::kFill:
      return may_fill();
  }
  return false;
}

std::bitset<kNumPitches> GrammarState::startable(int program) const {
  if (is_last_step_ || program >= due_program_ || !may_use(program)) return {};
  std::bitset<kNumPitches> pitches = rules().playable(program);
  if (phase_of(program) == kOns) pitches &= pitches_from(last_pitch_ + 1);
  if (program == kDrums) return pitches;
  if (is_full() || static_cast<int64_t>(sounding_[program].count()) >= rules().max_voices(program)) return {};
  pitches &= ~sounding_[program];
  if (const int pitch = worn_pitch(); pitch >= 0 && rules().playable(program).count() > 1) pitches.reset(pitch);
  return pitches;
}

int GrammarState::worn_pitch() const {
  if (constraints().max_top_run == Constraints::kUnlimited) return -1;
  const auto [pitch, num] = top_before();
  return num < constraints().max_top_run || (top_step_ == now_ && top_ >= pitch) ? -1 : pitch;
}

std::pair<int, int64_t> GrammarState::top_before() const {
  if (top_step_ == now_) return {top_before_, num_tops_};
  return {top_, top_ == top_before_ ? num_tops_ + 1 : 1};
}

bool GrammarState::may_note_off(int pitch) const {
  const Phase phase = phase_of(program_);
  return program_ != kDrums && sounding_[program_][pitch] && phase <= kOffs &&
         (phase != kOffs || pitch > last_pitch_) && may_close(program_, pitch) &&
         (program_ < due_program_ || (program_ == due_program_ && pitch <= due_pitch_));
}

bool GrammarState::may_time_shift(int64_t steps) const {
  if (is_dangling() || last_ == Last::kShift) return false;
  if (!is_in_context() && !is_in_fill() && gap_ + steps > vocabulary().config().max_gap_steps) return false;
  if (!has_room(steps) || (!has_room(steps + 1) && !is_any_open())) return false;
  if (is_in_fill() && !is_any_open() && !may_any_play(steps)) return false;
  return steps <= steps_to_deadline();
}

bool GrammarState::may_change(Kind kind, int index) const {
  const bool is_tempo = kind == Kind::kTempo;
  if (is_in_fill()) return false;
  if (!is_after_shift() && num_changes_now_ == 0) return false;
  if (group_ >= 0 || is_dangling() || is_last_step_) return false;
  if (num_changes_now_ >= (is_tempo ? 2 : 1)) return false;
  if (is_tempo) return index == kNone || (index != tempo_ && rules().may_have_tempo(index));
  if (constraints().time_signature_index >= 0 || index == time_signature_) return false;
  if (index == kNone || constraints().max_bars == Constraints::kUnlimited) return true;
  const int64_t bars_left = constraints().max_bars - bars_begun(now_);
  return bars_left * vocabulary().bar_steps(index) >= std::max<int64_t>(1, steps_to_enter());
}

bool GrammarState::may_pedal_on(int program) const {
  return program != kDrums && !has_pedal_[program] && phase_of(program) <= kPedalUp && may_use(program) &&
         !is_last_step_ && program < due_program_;
}

bool GrammarState::may_pedal_off() const {
  return program_ != kDrums && has_pedal_[program_] && phase_of(program_) <= kOffs &&
         may_close(program_, kNumPitches) && program_ < due_program_;
}

bool GrammarState::may_program(int program) const {
  if (is_dangling() || program == program_ || program <= group_ || program > due_program_) return false;
  if (is_last_step_) return may_close(program, -1);
  return is_open(program) || may_pedal_on(program) || may_any_note_on(program) || may_hole_of(program);
}

bool GrammarState::may_eos() const {
  return !is_any_open() && last_ == Last::kEvent && !is_in_context() && num_parts_left_ == 0;
}

bool GrammarState::may_hole(int place) const {
  if (place < kAllBegin) {
    return is_in_context() && program_ >= 0 && phase_of(program_) == kNoPhase && holes_.may_take(place, program_);
  }
  return is_in_context() && !is_dangling() && group_ < 0 && num_changes_now_ < 3 && holes_.may_take(place, 0);
}

bool GrammarState::may_hole_of(int program) const {
  return is_in_context() && (holes_.may_take(kHoleBegins, program) || holes_.may_take(kHoleEnds, program));
}

bool GrammarState::may_fill() const {
  if (is_any_open() || last_ != Last::kEvent) return false;
  if (is_in_context()) return !holes_.missing().is_any() && !holes_.is_empty();
  return is_in_fill() && num_parts_left_ > 0;
}

bool GrammarState::may_any_play(int64_t steps) const {
  std::bitset<kNumPrograms> programs = holes_.missing_at(now_ + steps).set() & constraints().programs;
  if (num_programs_ >= constraints().max_programs) programs &= has_begun_ | constraints().required_programs;
  return programs.any();
}

bool GrammarState::may_close(int program, int pitch) const {
  if (!is_last_step_) return true;
  if (is_any_open_below(program) || (pitch > 0 && is_any_sounding_below(program, pitch))) return false;
  return is_open(program);
}

// Whether all that is open can still be closed at this step, by ascending program and pitch.
bool GrammarState::can_close_now() const {
  if (group_ < 0) return true;
  if (is_any_open_below(group_)) return false;
  if (!is_open(group_)) return true;
  return phase_ < kOffs || (phase_ == kOffs && !is_any_sounding_below(group_, last_pitch_ + 1));
}

bool GrammarState::is_early(int64_t step) const {
  if (edit_ != Edit::kNone) return false;
  // By a quotient: the steps times their length may pass 64 bits.
  const int64_t us_left = constraints().min_us * grammar_->us_scale() - elapsed_us_;
  const bool is_short = us_left > 0 && (step_us_ == 0 || step - now_ <= (us_left - 1) / step_us_);
  return step < constraints().min_steps || is_short || bars_begun(step) < constraints().min_bars;
}

void GrammarState::find_last_step(int64_t earliest) {
  const Constraints& given = constraints();
  last_step_ = given.max_steps;
  if (given.max_us < Constraints::kUnlimited && step_us_ > 0) {
    last_step_ = std::min(last_step_, now_ + (given.max_us * grammar_->us_scale() - elapsed_us_) / step_us_);
  }
  if (given.max_bars < Constraints::kUnlimited) {
    last_step_ = std::min(last_step_, metre_start_ + (given.max_bars - bars_before_) * bar_steps_);
  }
  if (given.whole_bars) {
    const int64_t bar_line = last_step_ - (last_step_ - metre_start_) % bar_steps_;
    if (bar_line >= earliest + steps_to_enter() && !is_early(bar_line)) last_step_ = bar_line;
  }
  is_last_step_ = !has_room(1);
}

std::bitset<kNumPrograms> GrammarState::due_programs() const {
  std::bitset<kNumPrograms> programs;
  for (int i = 0; i < num_timed_ && timed_[i].due() <= now_; ++i) programs[timed_[i].program()] = true;
  return programs;
}

int64_t GrammarState::tokens_to_close() const {
  if (stage_ == Stage::kFinished) return 0;
  if (stage_ == Stage::kPlan) return tokens_to_end_plan() + 1;
  if (stage_ != Stage::kBody) {
    const int header = stage_ == Stage::kTempo ? 1 : stage_ == Stage::kTimeSignature ? 2 : is_score() ? 3 : 1;
    return header + tokens_to_end_plan() + 1;
  }
  int64_t note = 0;
  if (last_ == Last::kVelocity) note = 3;
  if (last_ == Last::kProgram && !is_open(program_)) note = 4;
  if (is_after_shift() && !is_any_open()) note = 5;
  const bool needs_shift = note > 0 || !can_close_now();
  // Each open program is named, but for the one that is being played.
  const bool is_named = !needs_shift && group_ >= 0 && is_open(group_);
  // What is due ends before the shift: its programs may have to be named once more behind it.
  int64_t named_twice = 0;
  if (needs_shift && due_program_ != kNothingDue) {
    std::bitset<kNumPrograms> due = due_programs();
    if (group_ >= 0) due[group_] = false;
    named_twice = static_cast<int64_t>(due.count());
  }
  const auto num_pedals = static_cast<int64_t>(has_pedal_.count());
  const auto num_programs = static_cast<int64_t>(open_programs().count());
  return note + needs_shift + 1 + num_sounding_ + num_pedals + num_programs - is_named + named_twice + num_parts_left_;
}

// The same as is_body_allowed for every id, with what a kind's tokens have in common asked once.
void GrammarState::body_allowed(uint8_t* mask) const {
  const Vocabulary& ids = vocabulary();
  const auto allow = [mask](int first, int num, auto is_allowed_value) {
    for (int value = 0; value < num; ++value) mask[first + value] = is_allowed_value(value);
  };
  if (program_ >= 0 && velocity() >= 0) {
    allow(ids.note_on(0), kNumPitches, [pitches = startable(program_)](int pitch) { return pitches[pitch]; });
  }
  if (last_ == Last::kVelocity) return;
  mask[Vocabulary::kEosId] = may_eos();
  if (program_ >= 0) {
    if (has_notes_[program_]) {
      allow(ids.note_off(0), kNumPitches, [this](int pitch) { return may_note_off(pitch); });
    }
    if (may_any_note_on(program_)) {
      allow(ids.velocity(0), ids.config().num_velocities, [in_force = velocity()](int bin) { return bin != in_force; });
    }
  }
  if (!is_dangling() && last_ != Last::kShift) {
    const auto num_shifts = static_cast<int>(std::min<int64_t>(ids.config().max_time_shift, steps_to_deadline()));
    allow(ids.time_shift(1), num_shifts, [this](int value) { return may_time_shift(value + 1); });
  }
  if (!is_score()) return;
  if (!is_dangling()) allow(ids.program(0), kNumPrograms, [this](int program) { return may_program(program); });
  for (const Kind kind : {Kind::kTempo, Kind::kTimeSignature}) {
    if (!may_change(kind, kNone)) continue;
    const bool is_tempo = kind == Kind::kTempo;
    const int first = is_tempo ? ids.tempo(0) : ids.time_signature(0);
    const int end = is_tempo ? ids.time_signature(0) : ids.pedal_off();
    allow(first, end - first, [this, kind](int index) { return may_change(kind, index); });
  }
  for (const int id : {ids.pedal_off(), ids.pedal_on()}) mask[id] = is_body_allowed(ids.event(id));
  if (!is_in_context() && !is_in_fill()) return;
  allow(ids.hole(0), kNumHolePlaces, [this](int place) { return may_hole(place); });
  mask[ids.fill()] = may_fill();
}

int64_t GrammarState::tokens_to_close_after(Event event) const {
  GrammarState next = *this;
  next.apply(event);
  return next.tokens_to_close();
}

void GrammarState::allowed(uint8_t* mask, int64_t remaining) const {
  const int size = vocabulary().size();
  const bool is_past_header = stage_ == Stage::kPlan || stage_ == Stage::kBody;
  if (!is_past_header) {
    for (int id = 0; id < size; ++id) mask[id] = is_allowed(id);
  } else {
    std::fill_n(mask, size, uint8_t{0});
    if (stage_ == Stage::kPlan) plan_allowed(mask);
    if (stage_ == Stage::kBody || may_end_plan()) body_allowed(mask);
  }
  if (remaining >= 0 && !is_in_context()) keep_in_time(mask, remaining);
  if (rules().has_demands() && is_past_header) keep_demanded(mask, remaining);
}

void GrammarState::keep_in_time(uint8_t* mask, int64_t remaining) const {
  // A token adds at most 8 to the way to the end, and the programs of what is due.
  if (remaining > tokens_to_close() + 16 + static_cast<int64_t>(open_programs().count())) return;
  const int size = vocabulary().size();
  // All tokens of a kind leave the same way, but for those that close a note, name an open program or say a length.
  std::array<int64_t, kNumKinds> ways;
  ways.fill(-1);
  constexpr uint8_t kInTime = 2;
  bool is_any = false;
  for (int id = 0; id < size; ++id) {
    if (!mask[id]) continue;
    const Event event = vocabulary().event(id);
    const bool is_special = event.kind == Kind::kNoteOff || event.kind == Kind::kBars ||
                            (event.kind == Kind::kProgram && is_open(event.value));
    int64_t& way = ways[static_cast<size_t>(event.kind)];
    const int64_t tokens = !is_special && way >= 0 ? way : tokens_to_close_after(event);
    if (!is_special) way = tokens;
    if (tokens > remaining - 1) continue;
    mask[id] = kInTime;
    is_any = true;
  }
  for (int id = 0; id < size; ++id) mask[id] = is_any ? mask[id] == kInTime : mask[id];
}

void GrammarState::advance(int id) {
  if (!is_allowed(id)) throw std::invalid_argument("the grammar does not allow token " + std::to_string(id) + " here");
  apply(vocabulary().event(id));
}

void GrammarState::apply(Event event) {
  auto enter = [this](Phase phase) {
    group_ = program_;
    phase_ = phase;
  };
  if (event.kind == Kind::kSection || event.kind == Kind::kBars || event.kind == Kind::kChord) {
    apply_to_plan(event);
    return;
  }
  if (stage_ == Stage::kPlan) stage_ = Stage::kBody;
  last_ = Last::kEvent;
  if (stage_ == Stage::kBody && event.kind != Kind::kNoteOff) ++num_fillers_;
  switch (event.kind) {
    case Kind::kPad:
      break;
    case Kind::kBos:
      stage_ = is_score() ? Stage::kTimeSignature : Stage::kBody;
      find_last_step(now_);
      return;
    case Kind::kEos:
      stage_ = Stage::kFinished;
      return;
    case Kind::kNoteOn:
      enter(kOns);
      begin_note(event.value);
      break;
    case Kind::kNoteOff:
      enter(kOffs);
      end_note(event.value);
      break;
    case Kind::kTimeShift:
      last_ = event.value == vocabulary().config().max_time_shift ? Last::kLargestShift : Last::kShift;
      now_ += event.value;
      gap_ += event.value;
      elapsed_us_ += event.value * step_us_;
      if (num_sounding_ > 0) last_sound_ = now_;
      is_last_step_ = !has_room(1);
      if (is_in_fill()) open_to_ = holes_.missing_at(now_).set();
      find_first_due();
      group_ = -1;
      phase_ = kNoPhase;
      num_changes_now_ = 0;
      return;
    case Kind::kVelocity:
      // The group has begun: only its note_on may follow.
      last_ = Last::kVelocity;
      velocities_[vocabulary().velocity_holder(program_)] = static_cast<int8_t>(event.value);
      if (group_ != program_) enter(kPedalDown);
      break;
    case Kind::kProgram:
      last_ = Last::kProgram;
      program_ = event.value;
      group_ = program_;
      phase_ = kNoPhase;
      break;
    case Kind::kTempo:
      tempo_ = event.value;
      step_us_ = rules().step_us(tempo_);
      find_last_step(now_);
      if (stage_ == Stage::kTempo) {
        stage_ = grammar_->has_plan() ? Stage::kPlan : Stage::kBody;
        return;
      }
      num_changes_now_ = 2;
      break;
    case Kind::kTimeSignature:
      time_signature_ = event.value;
      bars_before_ = bars_begun(now_);
      metre_start_ = now_;
      bar_steps_ = vocabulary().bar_steps(event.value);
      find_last_step(now_);
      if (stage_ == Stage::kTimeSignature) {
        stage_ = Stage::kTempo;
        return;
      }
      num_changes_now_ = 1;
      break;
    case Kind::kPedalOff:
      enter(kPedalUp);
      has_pedal_[program_] = false;
      break;
    case Kind::kPedalOn:
      enter(kPedalDown);
      has_pedal_[program_] = true;
      begin(program_);
      break;
    case Kind::kSection:
    case Kind::kChord:
    case Kind::kBars:
      break;  // never allowed
    case Kind::kEdit:
      edit_ = Edit::kContext;
      find_last_step(now_);
      break;
    case Kind::kHole:
      holes_.take(now_, event.value, program_);
      open_to_ = ~holes_.missing().set();
      if (event.value < kAllBegin) {
        enter(kHole);
      } else {
        num_changes_now_ = 3;
      }
      break;
    case Kind::kFill:
      begin_part();
      break;
  }
  gap_ = 0;
}

// Goes to where the next part of a fill begins; as at a beginning, no program and no velocity is in force.
void GrammarState::begin_part() {
  if (is_in_context()) {
    edit_ = Edit::kFill;
    has_begun_.reset();
    num_programs_ = static_cast<int64_t>(constraints().required_programs.count());
    num_parts_left_ = holes_.num_intervals();
    fill_end_ = 0;
  }
  const HoleTrack::Interval part = holes_.next_interval(fill_end_);
  --num_parts_left_;
  now_ = last_sound_ = part.start;
  top_step_ = top_ = top_before_ = -1;
  num_tops_ = 0;
  fill_end_ = part.end;
  open_to_ = holes_.missing_at(now_).set();
  group_ = program_ = -1;
  phase_ = kNoPhase;
  velocities_.fill(-1);
  num_fillers_ = 0;
  has_played_.reset();
  is_last_step_ = !has_room(1);
  find_first_due();
}

void GrammarState::begin(int program) {
  if (!has_begun_[program] && !constraints().required_programs[program]) ++num_programs_;
  has_begun_[program] = true;
}

void GrammarState::begin_note(int pitch) {
  last_pitch_ = pitch;
  last_sound_ = now_;
  num_fillers_ = 0;
  const bool is_new = !has_played_[program_];
  has_played_[program_] = true;
  if (is_new && constraints().required_programs[program_]) find_last_step(now_ + 1);  // its note_off comes later
  begin(program_);
  if (program_ == kDrums) return;
  std::tie(top_before_, num_tops_) = top_before();
  top_ = top_step_ == now_ ? std::max(top_, pitch) : pitch;
  top_step_ = now_;
  sounding_[program_][pitch] = true;
  has_notes_[program_] = true;
  ++num_sounding_;
  if (!rules().limits_notes()) return;
  const TimedNote note(now_ + rules().longest_note(program_), program_, pitch);
  int place = num_timed_++;
  for (; place > 0 && note < timed_[place - 1]; --place) timed_[place] = timed_[place - 1];
  timed_[place] = note;
}

void GrammarState::end_note(int pitch) {
  last_pitch_ = pitch;
  sounding_[program_][pitch] = false;
  has_notes_[program_] = sounding_[program_].any();
  --num_sounding_;
  if (!rules().limits_notes()) return;
  const auto end = timed_.begin() + num_timed_;
  const auto found =
      std::find_if(timed_.begin(), end, [this, pitch](const TimedNote& note) { return note.is_of(program_, pitch); });
  std::copy(found + 1, end, found);
  --num_timed_;
  find_first_due();
}

void GrammarState::find_first_due() {
  // No time_shift goes beyond a step at which a note is due: all that are due now are due at this step, in order.
  const bool is_any = num_timed_ > 0 && timed_[0].due() <= now_;
  due_program_ = is_any ? timed_[0].program() : kNothingDue;
  due_pitch_ = is_any ? timed_[0].pitch() : 0;
}

}  // namespace amt::midi
