// Many files to token ids, by several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer.h"
#include "vocabulary.h"

namespace amt::midi {

// What became of one file: an encoding, or why there is none.
struct FileEncoding {
  std::optional<Encoding> encoding;
  std::string reason;
  int64_t byte_offset = -1;
};

// Throws MidiError, and std::invalid_argument for music that is too long.
Encoding encode_file(std::string_view bytes, const Vocabulary& vocabulary, bool is_strict);

// A file that cannot be read stops no other. Where the system gives fewer threads, there are fewer.
std::vector<FileEncoding> encode_many(const std::vector<std::string_view>& files, const Vocabulary& vocabulary,
                                      bool is_strict, int64_t num_threads);

}  // namespace amt::midi
