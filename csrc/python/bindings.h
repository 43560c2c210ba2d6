// One function per file of bindings; module.cpp calls them all.
#pragma once

#include <pybind11/pybind11.h>

namespace amt {
void bind_smf(pybind11::module_& m);        // bind_smf.cpp: MidiData, read, write
void bind_tokenizer(pybind11::module_& m);  // bind_tokenizer.cpp: vocabulary, encode, decode, grammar
}  // namespace amt
