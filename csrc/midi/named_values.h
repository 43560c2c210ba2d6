// Settings that cross from Python to C++ by name: a text with a line `name value value ...` for each. What is not named
// keeps its default; a name that nobody reads is an error. Its twin is amt/named_values.py.
//
// A struct that can be read this way has a function `visit_fields(struct, visitor)` that calls `visitor(name, member)`
// for each member; an enumeration has `names_of(value)`, its names in the order of its numbers.
#pragma once

#include <algorithm>
#include <bitset>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace amt {

class NamedValues {
 public:
  // Throws std::invalid_argument, as do all the others.
  explicit NamedValues(std::string_view text) {
    const auto is_control = [](char letter) { return letter != '\n' && static_cast<unsigned char>(letter) < ' '; };
    if (std::any_of(text.begin(), text.end(), is_control)) {
      throw std::invalid_argument("settings have no control characters");
    }
    while (!text.empty()) {
      std::vector<std::string> words;
      std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      while (!line.empty()) {
        const std::string_view word = line.substr(0, line.find(' '));
        if (!word.empty()) words.emplace_back(word);
        line.remove_prefix(std::min(line.size(), word.size() + 1));
      }
      if (words.empty()) continue;
      const std::string name = words.front();
      words.erase(words.begin());
      if (!values_.emplace(name, Entry{std::move(words), false}).second) fail(name, "is given twice");
    }
  }

  // Reads the member from the value of that name, if there is one.
  template <typename Member>
  void operator()(const char* name, Member& member) {
    const auto found = values_.find(name);
    if (found == values_.end()) return;
    found->second.is_read = true;
    read(name, found->second.words, member);
  }

  void check_all_read() const {
    for (const auto& [name, entry] : values_) {
      if (!entry.is_read) fail(name, "is not a setting that is known here");
    }
  }

 private:
  struct Entry {
    std::vector<std::string> words;
    bool is_read;
  };

  [[noreturn]] static void fail(const std::string& name, const std::string& reason) {
    throw std::invalid_argument(name + " " + reason);
  }

  template <typename Number>
  static Number number(const std::string& name, const std::string& word) {
    char* end = nullptr;
    errno = 0;
    if constexpr (std::is_floating_point_v<Number>) {
      const double value = std::strtod(word.c_str(), &end);
      if (word.empty() || *end != '\0') fail(name, "must be a number, got " + word);
      return static_cast<Number>(value);
    } else if constexpr (std::is_same_v<Number, uint64_t>) {
      const auto value = std::strtoull(word.c_str(), &end, 10);
      if (word.empty() || *end != '\0' || errno == ERANGE || word[0] == '-') fail(name, "does not fit: " + word);
      return static_cast<Number>(value);
    } else {
      const auto value = std::strtoll(word.c_str(), &end, 10);
      if (word.empty() || *end != '\0') fail(name, "must be a whole number, got " + word);
      if (errno == ERANGE || value < static_cast<int64_t>(std::numeric_limits<Number>::min()) ||
          value > static_cast<int64_t>(std::numeric_limits<Number>::max())) {
        fail(name, "does not fit: " + word);
      }
      return static_cast<Number>(value);
    }
  }

  template <typename Member>
  static void read(const std::string& name, const std::vector<std::string>& words, Member& member) {
    if (words.size() != 1) fail(name, "must be one value, got " + std::to_string(words.size()));
    if constexpr (std::is_enum_v<Member>) {
      const auto names = names_of(Member{});
      const auto found = std::find(names.begin(), names.end(), words[0]);
      if (found == names.end()) fail(name, "is none of its values: " + words[0]);
      member = static_cast<Member>(found - names.begin());
    } else if constexpr (std::is_same_v<Member, bool>) {
      if (words[0] != "0" && words[0] != "1") fail(name, "must be 0 or 1, got " + words[0]);
      member = words[0] == "1";
    } else {
      member = number<Member>(name, words[0]);
    }
  }

  template <typename Number>
  static void read(const std::string& name, const std::vector<std::string>& words, std::vector<Number>& members) {
    members.clear();
    for (const std::string& word : words) members.push_back(number<Number>(name, word));
  }

  // The numbers of the bits that are set.
  template <size_t size>
  static void read(const std::string& name, const std::vector<std::string>& words, std::bitset<size>& bits) {
    bits.reset();
    for (const std::string& word : words) {
      const auto bit = number<int64_t>(name, word);
      if (bit < 0 || bit >= static_cast<int64_t>(size)) {
        fail(name, "must be between 0 and " + std::to_string(size - 1) + ", got " + word);
      }
      bits[static_cast<size_t>(bit)] = true;
    }
  }

  std::map<std::string, Entry, std::less<>> values_;
};

// The struct that the text describes.
template <typename Struct>
Struct from_text(std::string_view text) {
  NamedValues values(text);
  Struct result{};
  visit_fields(result, values);
  values.check_all_read();
  return result;
}

}  // namespace amt
