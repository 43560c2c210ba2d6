#include "bindings.h"

PYBIND11_MODULE(_midi, m) {
  m.doc() = "MIDI files, event tokens and their grammar in C++.";
  amt::bind_smf(m);
  amt::bind_tokenizer(m);
}
