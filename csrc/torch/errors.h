// What an op raises: checks of its arguments, and the translation of errors into what torch takes to Python.
#pragma once

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "search_options.h"

namespace amt {

inline void check(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

// Only std::runtime_error crosses into torch; the first word says which Python error it becomes.
template <typename Call>
auto translating(Call&& call) {
  try {
    return call();
  } catch (const engine::DecodingError& error) {
    throw std::runtime_error(std::string("DecodingError: ") + error.what());
  } catch (const std::bad_alloc&) {
    throw std::runtime_error(
        "MemoryError: this does not fit into memory; ask for fewer prompts, rows or tokens at once");
  } catch (const std::exception& error) {
    throw std::runtime_error(std::string("ValueError: ") + error.what());
  }
}

}  // namespace amt
