// One function per file of bindings. The module begins in bind_smf.cpp: a file for it alone would parse pybind11 once
// more.
#pragma once

#include <pybind11/pybind11.h>

namespace amt {
void bind_smf(pybind11::module_& m);        // bind_smf.cpp: MidiData, read, write
void bind_tokenizer(pybind11::module_& m);  // bind_tokenizer.cpp: vocabulary, encode, decode, grammar
void bind_features(pybind11::module_& m);   // bind_features.cpp: state features
}  // namespace amt
