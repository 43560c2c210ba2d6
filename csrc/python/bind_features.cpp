// State features for Python.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../midi/state_features.h"
#include "bindings.h"

namespace py = pybind11;

namespace amt {
namespace {

using midi::FeatureEntry;
using midi::FeatureLayout;
using midi::FeatureState;

using FeatureIds = py::array_t<int32_t, py::array::c_style | py::array::forcecast>;
using RowNumbers = std::vector<int64_t>;

void check_ids(const FeatureLayout& layout, const FeatureIds& ids) {
  const int32_t size = layout.vocabulary().size();
  for (py::ssize_t index = 0; index < ids.size(); ++index) {
    const int32_t id = ids.data()[index];
    if (id < 0 || id >= size) {
      throw std::invalid_argument("token ids are 0 to " + std::to_string(size - 1) + ", got " + std::to_string(id) +
                                  " at " + std::to_string(index));
    }
  }
}

py::tuple feature_rows(const FeatureLayout& layout, const FeatureIds& ids, const RowNumbers& lengths,
                       const RowNumbers& num_bars) {
  check_ids(layout, ids);
  int64_t num_tokens = 0;
  for (const int64_t length : lengths) {
    if (length < 0 || length > ids.size() - num_tokens) throw std::invalid_argument("lengths are not those of ids");
    num_tokens += length;
  }
  if (num_tokens != ids.size() || num_bars.size() != lengths.size()) {
    throw std::invalid_argument("lengths are not those of ids, or there is not a num_bars for each row");
  }
  midi::FeatureRows rows;
  {
    py::gil_scoped_release release;
    rows = midi::feature_rows(layout, ids.data(), lengths, num_bars);
  }
  const auto num_entries = static_cast<py::ssize_t>(rows.entries.size());
  py::array_t<int16_t> columns(num_entries), numbers(num_entries);
  int16_t *column = columns.mutable_data(), *number = numbers.mutable_data();
  for (const FeatureEntry& entry : rows.entries) {
    *column++ = entry.column;
    *number++ = entry.number;
  }
  return py::make_tuple(py::array_t<int64_t>(num_tokens, rows.ends.data()), columns, numbers,
                        py::array_t<int64_t>(num_tokens, rows.times.data()));
}

}  // namespace

void bind_features(py::module_& m) {
  py::class_<FeatureLayout>(m, "FeatureLayout", "Which state features there are.")
      .def(py::init<std::string_view>(), py::arg("text"), "text: see midi/state_features.h.")
      .def_property_readonly("num_columns", &FeatureLayout::num_columns)
      .def(
          "value",
          [](const FeatureLayout& layout, int16_t column, int16_t number) {
            if (column < 0 || column >= layout.num_columns()) throw std::invalid_argument("there is no such column");
            return layout.value({column, number});
          },
          py::arg("column"), py::arg("number"))
      .def("rows", &feature_rows, py::arg("ids"), py::arg("lengths"), py::arg("num_bars"),
           "(ends, columns, numbers, times) of rows of ids, one after the other.")
      .def(
          "num_bars",
          [](const FeatureLayout& layout, const FeatureIds& ids) {
            check_ids(layout, ids);
            py::gil_scoped_release release;
            FeatureState state(layout);
            for (py::ssize_t index = 0; index < ids.size(); ++index) state.advance(ids.data()[index]);
            return state.num_bars_begun();
          },
          py::arg("ids"));
}

}  // namespace amt
