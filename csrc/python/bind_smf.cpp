#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings.h"
#include "smf.h"
#include "vocabulary.h"

namespace py = pybind11;

namespace amt {
namespace {

using midi::MidiData;

template <typename T>
using Column = py::array_t<T, py::array::c_style | py::array::forcecast>;

// One NumPy array with `get(item)` of every item.
template <typename T, typename Item, typename Get>
py::array_t<T> column(const std::vector<Item>& items, Get get) {
  py::array_t<T> array(static_cast<py::ssize_t>(items.size()));
  std::transform(items.begin(), items.end(), array.mutable_data(), get);
  return array;
}

template <typename T>
const T* checked(const Column<T>& array, py::ssize_t size, const char* name) {
  if (array.ndim() != 1 || array.size() != size) {
    throw py::value_error(std::string("column ") + name + " must have shape (" + std::to_string(size) + ",)");
  }
  return array.data();
}

// The order of a NoteTable: start, drums last, program, pitch, end, velocity.
bool is_before(const midi::Note& a, const midi::Note& b) {
  const auto major = [](const midi::Note& n) {
    return uint64_t(uint32_t(n.start_ticks)) << 24 | uint64_t{n.is_drum} << 16 | uint64_t{n.program} << 8 | n.pitch;
  };
  const auto minor = [](const midi::Note& n) { return uint64_t(uint32_t(n.end_ticks)) << 8 | n.velocity; };
  return major(a) != major(b) ? major(a) < major(b) : minor(a) < minor(b);
}

py::tuple note_columns(const MidiData& data) {
  std::vector<midi::Note> notes;
  {
    py::gil_scoped_release release;
    notes = data.notes;
    std::sort(notes.begin(), notes.end(), is_before);
  }
  return py::make_tuple(column<int32_t>(notes, [](const midi::Note& n) { return n.start_ticks; }),
                        column<int32_t>(notes, [](const midi::Note& n) { return n.end_ticks; }),
                        column<uint8_t>(notes, [](const midi::Note& n) { return n.pitch; }),
                        column<uint8_t>(notes, [](const midi::Note& n) { return n.velocity; }),
                        column<uint8_t>(notes, [](const midi::Note& n) { return n.program; }),
                        column<bool>(notes, [](const midi::Note& n) { return n.is_drum; }));
}

void set_note_columns(MidiData& data, const Column<int32_t>& start_ticks, const Column<int32_t>& end_ticks,
                      const Column<uint8_t>& pitch, const Column<uint8_t>& velocity, const Column<uint8_t>& program,
                      const Column<bool>& is_drum) {
  const py::ssize_t size = start_ticks.size();
  const int32_t* starts = checked(start_ticks, size, "start_ticks");
  const int32_t* ends = checked(end_ticks, size, "end_ticks");
  const uint8_t* pitches = checked(pitch, size, "pitch");
  const uint8_t* velocities = checked(velocity, size, "velocity");
  const uint8_t* programs = checked(program, size, "program");
  const bool* drums = checked(is_drum, size, "is_drum");
  std::vector<midi::Note> notes;
  notes.reserve(static_cast<size_t>(size));
  for (py::ssize_t i = 0; i < size; ++i) {
    notes.push_back({starts[i], ends[i], pitches[i], velocities[i], programs[i], drums[i]});
  }
  data.notes = std::move(notes);
}

using PedalRow = std::tuple<int32_t, int32_t, uint8_t, bool>;
using TempoRow = std::tuple<int32_t, int32_t>;
using TimeSignatureRow = std::tuple<int32_t, uint8_t, int32_t>;
using KeySignatureRow = std::tuple<int32_t, int8_t, bool>;
using PlanRow = std::tuple<int, int, int>;
using RepairRow = std::tuple<int64_t, std::string>;

MidiData read(const py::buffer& source, bool strict) {
  const py::buffer_info info = source.request();
  if (info.itemsize != 1 || info.ndim != 1 || info.strides[0] != 1) {
    throw py::value_error("read expects one contiguous run of bytes");
  }
  py::gil_scoped_release release;
  return midi::read_smf(static_cast<const uint8_t*>(info.ptr), static_cast<size_t>(info.size), strict);
}

py::bytes write(const MidiData& data) {
  std::string bytes;
  {
    py::gil_scoped_release release;
    bytes = midi::write_smf(data);
  }
  return py::bytes(bytes);
}

void translate_midi_error(std::exception_ptr error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const midi::MidiError& e) {
    const py::object type = py::module_::import("amt.errors").attr("MidiError");
    PyErr_SetObject(type.ptr(), type(e.what(), e.byte_offset()).ptr());
  }
}

}  // namespace

void bind_smf(py::module_& m) {
  py::register_local_exception_translator(translate_midi_error);

  // Events other than notes go in and out as lists of plain tuples, in the order of the C++ fields.
  py::class_<MidiData>(m, "MidiData", "The contents of a MIDI file; amt.midi.MidiData is its face.")
      .def(py::init<>())
      .def_readwrite("ticks_per_beat", &MidiData::ticks_per_beat)
      .def_readwrite("format", &MidiData::format)
      .def_readwrite("end_ticks", &MidiData::end_ticks)
      .def_property_readonly("num_notes", [](const MidiData& d) { return d.notes.size(); })
      .def("note_columns", &note_columns, "start_ticks, end_ticks, pitch, velocity, program, is_drum; sorted.")
      .def("set_note_columns", &set_note_columns, py::arg("start_ticks"), py::arg("end_ticks"), py::arg("pitch"),
           py::arg("velocity"), py::arg("program"), py::arg("is_drum"))
      .def_property(
          "pedals",
          [](const MidiData& d) {
            std::vector<PedalRow> rows;
            for (const auto& p : d.pedals) rows.emplace_back(p.start_ticks, p.end_ticks, p.program, p.is_drum);
            return rows;
          },
          [](MidiData& d, const std::vector<PedalRow>& rows) {
            d.pedals.clear();
            for (const auto& [start, end, program, is_drum] : rows) d.pedals.push_back({start, end, program, is_drum});
          })
      .def_property(
          "tempos",
          [](const MidiData& d) {
            std::vector<TempoRow> rows;
            for (const auto& t : d.tempos) rows.emplace_back(t.tick, t.us_per_beat);
            return rows;
          },
          [](MidiData& d, const std::vector<TempoRow>& rows) {
            d.tempos.clear();
            for (const auto& [tick, us_per_beat] : rows) d.tempos.push_back({tick, us_per_beat});
          })
      .def_property(
          "time_signatures",
          [](const MidiData& d) {
            std::vector<TimeSignatureRow> rows;
            for (const auto& t : d.time_signatures) rows.emplace_back(t.tick, t.numerator, t.denominator);
            return rows;
          },
          [](MidiData& d, const std::vector<TimeSignatureRow>& rows) {
            d.time_signatures.clear();
            for (const auto& [tick, numerator, denominator] : rows) {
              d.time_signatures.push_back({tick, numerator, denominator});
            }
          })
      .def_property(
          "key_signatures",
          [](const MidiData& d) {
            std::vector<KeySignatureRow> rows;
            for (const auto& k : d.key_signatures) rows.emplace_back(k.tick, k.sharps, k.is_minor);
            return rows;
          },
          [](MidiData& d, const std::vector<KeySignatureRow>& rows) {
            d.key_signatures.clear();
            for (const auto& [tick, sharps, is_minor] : rows) d.key_signatures.push_back({tick, sharps, is_minor});
          })
      .def_property(
          "plan",
          [](const MidiData& d) {
            std::vector<PlanRow> rows;
            for (const auto& c : d.plan) rows.emplace_back(c.section, c.chord, c.half_bars);
            return rows;
          },
          [](MidiData& d, const std::vector<PlanRow>& rows) {
            midi::Plan plan;
            int64_t num_half_bars = 0;
            for (const auto& [section, chord, half_bars] : rows) {
              num_half_bars += half_bars;
              if (section < midi::PlanChord::kSameSection || section >= midi::kNumSections || chord < 0 ||
                  chord >= midi::kNumChords || half_bars < 1 || half_bars > midi::kMaxHalfBars ||
                  num_half_bars > midi::kMaxPlanHalfBars) {
                throw py::value_error(
                    "plan has rows of a section, a chord and 1 to 32 half bars, at most 1,024 in all");
              }
              midi::append(plan, {section, chord, half_bars});
            }
            d.plan = std::move(plan);
          })
      .def_property(
          "repairs",
          [](const MidiData& d) {
            std::vector<RepairRow> rows;
            for (const auto& r : d.repairs) rows.emplace_back(r.byte_offset, r.reason);
            return rows;
          },
          [](MidiData& d, const std::vector<RepairRow>& rows) {
            d.repairs.clear();
            for (const auto& [byte_offset, reason] : rows) d.repairs.push_back({byte_offset, reason});
          });

  m.def("read", &read, py::arg("source"), py::arg("strict") = false,
        "Bytes of a Standard MIDI File to MidiData; MidiError with the byte offset.");
  m.def("write", &write, py::arg("data"), "MidiData to the bytes of a Standard MIDI File.");
}

}  // namespace amt

PYBIND11_MODULE(_midi, m) {
  m.doc() = "MIDI files, event tokens and their grammar in C++.";
  amt::bind_smf(m);
  amt::bind_tokenizer(m);
  amt::bind_features(m);
}
