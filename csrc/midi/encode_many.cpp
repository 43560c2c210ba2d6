#include "encode_many.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <numeric>
#include <system_error>
#include <thread>

#include "smf.h"

namespace amt::midi {
namespace {

constexpr size_t kMostThreads = 1024;

}  // namespace

Encoding encode_file(std::string_view bytes, const Vocabulary& vocabulary, bool is_strict) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  return encode(read_smf(data, bytes.size(), is_strict), vocabulary);
}

std::vector<FileEncoding> encode_many(const std::vector<std::string_view>& files, const Vocabulary& vocabulary,
                                      bool is_strict, int64_t num_threads) {
  std::vector<FileEncoding> encodings(files.size());
  std::vector<size_t> order(files.size());  // the largest first, so that no thread starts on one when the others end
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return files[a].size() > files[b].size(); });
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t place = next++; place < files.size(); place = next++) {
      const size_t i = order[place];
      try {
        encodings[i].encoding = encode_file(files[i], vocabulary, is_strict);
      } catch (const MidiError& error) {
        encodings[i].reason = error.what();
        encodings[i].byte_offset = error.byte_offset();
      } catch (const std::exception& error) {
        encodings[i].reason = error.what();
      }
    }
  };
  std::vector<std::thread> threads;
  const auto most = static_cast<int64_t>(std::min(files.size(), kMostThreads));
  try {
    for (int64_t i = 1; i < std::min(num_threads, most); ++i) threads.emplace_back(work);
  } catch (const std::system_error&) {  // the system gives no more
  }
  work();
  for (std::thread& thread : threads) thread.join();
  return encodings;
}

}  // namespace amt::midi
