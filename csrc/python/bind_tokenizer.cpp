// Vocabulary, tokenizer and grammar for Python.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "../midi/checked_grammar.h"
#include "../midi/edits.h"
#include "../midi/encode_many.h"
#include "../midi/smf.h"
#include "../midi/tokenizer.h"
#include "bindings.h"

namespace py = pybind11;

namespace amt {
namespace {

using midi::Grammar;
using midi::Vocabulary;

// A state that knows how long its masks are.
struct State : midi::GrammarState {
  explicit State(const Grammar& grammar) : GrammarState(grammar), vocab_size(grammar.vocabulary().size()) {}
  int vocab_size;
};

using Ids = py::array_t<int32_t, py::array::c_style | py::array::forcecast>;

// An array that owns the vector's memory: nothing is copied while the GIL is held.
py::array_t<int32_t> to_array(std::vector<int32_t> ids) {
  auto owner = std::make_unique<std::vector<int32_t>>(std::move(ids));
  const auto free = [](void* memory) {
    std::unique_ptr<std::vector<int32_t>>(static_cast<std::vector<int32_t>*>(memory));
  };
  const py::capsule base(owner.get(), free);
  const std::vector<int32_t>& kept = *owner.release();
  return py::array_t<int32_t>(static_cast<py::ssize_t>(kept.size()), kept.data(), base);
}

// The counts in the order of amt.midi.tokenizer.EncodeReport.
py::tuple to_tuple(const midi::EncodeReport& report) {
  return py::make_tuple(report.num_notes, report.kept_notes, report.merged_notes, report.truncated_notes,
                        report.lengthened_notes, report.dropped_drums, report.merged_programs, report.sustained_notes,
                        report.dropped_time_signatures, report.clamped_gaps, report.clamped_steps, report.moved_us_max,
                        report.dropped_kits, report.dropped_drum_lengths, report.dropped_pedals,
                        report.dropped_key_signatures, report.clamped_tempos, report.tempo_ppm_max);
}

// The counts in the order of amt.midi.tokenizer.DecodeReport.
py::tuple to_tuple(const midi::DecodeReport& report) {
  return py::make_tuple(report.ignored_tokens, report.dropped_notes, report.closed_notes);
}

std::string_view view(const py::bytes& bytes) {
  char* data = nullptr;
  py::ssize_t size = 0;
  if (PyBytes_AsStringAndSize(bytes.ptr(), &data, &size) != 0) throw py::error_already_set();
  return {data, static_cast<size_t>(size)};
}

}  // namespace

void bind_tokenizer(py::module_& m) {
  py::class_<Vocabulary>(m, "Tokenizer", "Notes to token ids and back, by one vocabulary.")
      .def(py::init(
               [](const std::string& vocabulary) { return Vocabulary(from_text<midi::VocabularyConfig>(vocabulary)); }),
           py::arg("vocabulary"), "vocabulary: a text of midi/named_values.h.")
      .def_property_readonly("vocab_size", &Vocabulary::size)
      .def(
          "encode",
          [](const Vocabulary& vocabulary, const midi::MidiData& data) {
            midi::Encoding encoding;
            {
              py::gil_scoped_release release;
              encoding = midi::encode(data, vocabulary);
            }
            return py::make_tuple(to_array(std::move(encoding.ids)), to_tuple(encoding.report));
          },
          py::arg("data"), "(ids, report) of notes.")
      .def(
          "encode_bytes",
          [](const Vocabulary& vocabulary, const py::bytes& bytes, bool strict) {
            const std::string_view file = view(bytes);
            midi::Encoding encoding;
            {
              py::gil_scoped_release release;
              encoding = midi::encode_file(file, vocabulary, strict);
            }
            return py::make_tuple(to_array(std::move(encoding.ids)), to_tuple(encoding.report));
          },
          py::arg("data"), py::arg("strict") = false, "(ids, report) of a MIDI file's bytes.")
      .def(
          "encode_many",
          [](const Vocabulary& vocabulary, const std::vector<py::bytes>& files, bool strict, int num_threads) {
            std::vector<std::string_view> views;
            for (const py::bytes& bytes : files) views.push_back(view(bytes));
            std::vector<midi::FileEncoding> outcomes;
            {
              py::gil_scoped_release release;
              outcomes = midi::encode_many(views, vocabulary, strict, num_threads);
            }
            py::list results;
            for (midi::FileEncoding& outcome : outcomes) {
              if (outcome.encoding) {
                results.append(
                    py::make_tuple(to_array(std::move(outcome.encoding->ids)), to_tuple(outcome.encoding->report)));
              } else {
                results.append(py::make_tuple(outcome.reason, outcome.byte_offset));
              }
            }
            return results;
          },
          py::arg("files"), py::arg("strict") = false, py::arg("num_threads") = 1,
          "For each file (ids, report), or (reason, byte_offset) if it cannot "
          "be read.")
      .def(
          "decode",
          [](const Vocabulary& vocabulary, const Ids& ids, bool only_fill) {
            midi::Decoding decoding;
            {
              py::gil_scoped_release release;
              decoding = midi::decode(ids.data(), static_cast<size_t>(ids.size()), vocabulary, only_fill);
            }
            return py::make_tuple(std::move(decoding.data), to_tuple(decoding.report));
          },
          py::arg("ids"), py::arg("only_fill") = false, "(MidiData, report) of token ids.")
      .def(
          "edit_row",
          [](const Vocabulary& vocabulary, const Ids& ids, const std::vector<std::array<int64_t, 3>>& holes,
             std::optional<int64_t> end_step) {
            std::vector<midi::StepHole> given;
            for (const auto& [program, start, end] : holes) {
              if (program < -1 || program > midi::kDrums) throw std::invalid_argument("there is no such program");
              given.push_back({static_cast<int>(program), start, end});
            }
            std::vector<int32_t> row;
            {
              py::gil_scoped_release release;
              row = midi::edit_row(ids.data(), static_cast<size_t>(ids.size()), std::move(given), end_step.value_or(-1),
                                   vocabulary);
            }
            return to_array(std::move(row));
          },
          py::arg("ids"), py::arg("holes"), py::arg("end_step"), "See amt.midi.reference.edits.edit_row.")
      .def(
          "decode_bytes",
          [](const Vocabulary& vocabulary, const Ids& ids) {
            std::string bytes;
            {
              py::gil_scoped_release release;
              bytes = midi::write_smf(midi::decode(ids.data(), static_cast<size_t>(ids.size()), vocabulary).data);
            }
            return py::bytes(bytes);
          },
          py::arg("ids"), "The MIDI file of token ids.");

  py::class_<Grammar>(m, "Grammar", "Which token may come next, under constraints.")
      .def(py::init(&midi::grammar_from), py::arg("vocabulary"), py::arg("constraints"),
           "vocabulary, constraints: texts of midi/named_values.h.");

  py::class_<State>(m, "GrammarState", "A place in a token sequence.")
      .def(py::init<const Grammar&>(), py::arg("grammar"), py::keep_alive<1, 2>())
      .def("advance", &State::advance, py::arg("token_id"))
      .def("is_allowed", &State::is_allowed, py::arg("token_id"))
      .def(
          "allowed",
          [](const State& state, std::optional<int64_t> remaining) {
            py::array_t<bool> mask(state.vocab_size);
            state.allowed(reinterpret_cast<uint8_t*>(mask.mutable_data()), remaining.value_or(-1));
            return mask;
          },
          py::arg("remaining"))
      .def(
          "copy", [](const State& state) { return State(state); }, py::keep_alive<0, 1>())
      .def_property_readonly("tokens_to_close", &State::tokens_to_close)
      .def_property_readonly("num_sounding", &State::num_sounding)
      .def_property_readonly("now", &State::now)
      .def_property_readonly("is_finished", &State::is_finished);
}

}  // namespace amt
