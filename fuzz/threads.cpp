// What runs in several threads, for ThreadSanitizer: the team, generations and the ops for training by any number of
// threads, generations that several threads reach for at once, and encode_many of the files that are named. The results
// must be those of one thread. tests/sanitize.sh builds and runs it.
#include <atomic>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>

#include "claims.h"
#include "encode_many.h"
#include "small_model.h"
#include "small_torch.h"
#include "team.h"

using namespace amt;
using fuzz::Dtype;
using fuzz::Tensor;
using fuzz::Value;

namespace {

constexpr int64_t kNumPrompts = 3, kNumRows = 3;

// Phases that each read what the others have written in the phase before.
void work_as_a_team() {
  for (const int64_t num_threads : {1, 2, 3, 8}) {
    engine::Team team(num_threads);
    std::vector<int64_t> numbers(100, 1), next(100);
    for (int run = 0; run < 50; ++run) {
      team.run([&](const engine::Member& member) {
        for (int phase = 0; phase < 4; ++phase) {
          const auto [first, last] = member.part(100);
          for (int64_t i = first; i < last; ++i) next[i] = (numbers[i] + numbers[(i + 37) % 100]) % 1000003;
          member.wait();
          for (int64_t i = first; i < last; ++i) numbers[i] = next[i];
          member.wait();
        }
      });
    }
    static const std::vector<int64_t> alone = numbers;  // of the first, which has one thread
    fuzz::claim(numbers == alone, "a team computes what one thread does", num_threads);
  }
}

std::vector<fuzz::Model> some_models() {
  std::vector<fuzz::Model> models;
  fuzz::SplitMix random{7};
  for (int number = 0; number < 6; ++number) {
    std::vector<uint8_t> drawn(8);
    for (uint8_t& byte : drawn) byte = static_cast<uint8_t>(random.next());
    fuzz::Bytes bytes(drawn.data(), drawn.size());
    models.push_back(fuzz::any_model(bytes, random));
  }
  return models;
}

int64_t start(const fuzz::Model& model, const char* mode) {
  fuzz::SplitMix random{3};
  const std::string options = std::string("mode ") + mode + "\n" + fuzz::line("num_rows", kNumRows) + "top_k 5\n";
  const std::string prompts =
      "memory 0 0 0\nprefix_len 1 1 1\nmax_new_tokens 20 15 9\nseed 3 4 5\nfirst_sequence 0 0 0\nnum_bars 0 0 0\n"
      "grammar 0 0 0\nhistory_len 0 0 0\nnum_before 0 0 0\ntokens_left 0 0 0\nroom 0 0 0\nnegative_memory -1 -1 -1\n";
  const std::vector<Value> memories = {fuzz::floats(random, {model.num_cross_layers, 2, 2, fuzz::kMemoryLen, 8})};
  const std::vector<Value> masks = {Tensor::zeros({0}, Dtype::kUint8)};
  const Value number = fuzz::call_op(
      "generation_start",
      {model.packed, options, prompts, model.vocabulary, std::vector<Value>{std::string("\n")}, model.features,
       memories, masks, Tensor::of<int32_t>({1, 1, 1}, {3}, Dtype::kInt32), Tensor::zeros({0}, Dtype::kInt32)});
  return std::get<int64_t>(number.it);
}

bool run(int64_t number, int64_t num_threads, int64_t max_steps) {
  const Tensor progress = Tensor::zeros({7}, Dtype::kInt64);
  fuzz::call_op("generation_run_",
                {number, progress, num_threads, max_steps, int64_t{1} << 40, false, std::string("generic")});
  return progress.data<int64_t>()[2] != 0;
}

std::vector<int32_t> read(int64_t number, int64_t num_prompts) {
  const Tensor ids = Tensor::zeros({num_prompts, kNumRows, fuzz::kMaxLen}, Dtype::kInt32);
  fuzz::call_op("generation_read_", {number, Tensor::zeros({num_prompts, kNumRows, 3}, Dtype::kInt64), ids,
                                     Tensor::zeros({num_prompts, kNumRows, fuzz::kMaxLen}),
                                     Tensor::zeros({num_prompts, kNumRows}, Dtype::kFloat64)});
  return {ids.data<int32_t>(), ids.data<int32_t>() + ids.numel()};
}

std::vector<int32_t> generated(const fuzz::Model& model, const char* mode, int64_t num_threads) {
  const int64_t number = start(model, mode);
  run(number, num_threads, 5);
  fuzz::claim(run(number, num_threads, 100), "a generation ends");
  std::vector<int32_t> ids = read(number, kNumPrompts);
  fuzz::call_op("generation_end", {number});
  return ids;
}

void generate(const fuzz::Model& model) {
  for (const char* mode : {"sample", "beams"}) {
    const std::vector<int32_t> alone = generated(model, mode, 1);
    for (const int64_t num_threads : {2, 4}) {
      fuzz::claim(generated(model, mode, num_threads) == alone, "threads change no token", num_threads);
    }
  }
  // Each thread has a generation of its own, and a team in it.
  const std::vector<int32_t> alone = generated(model, "sample", 1);
  std::vector<std::thread> threads;
  for (int index = 0; index < 3; ++index) {
    threads.emplace_back([&] { fuzz::claim(generated(model, "sample", 2) == alone, "neighbours change no token"); });
  }
  for (std::thread& thread : threads) thread.join();
}

// Several threads at one generation: whoever comes while it works is told so. Others join it meanwhile.
void share(const fuzz::Model& model) {
  const int64_t number = start(model, "sample");
  std::atomic<int64_t> num_told{0}, num_joined{0};
  const auto reach = [&](int index) {
    for (int round = 0; round < 12; ++round) {
      try {
        if (index == 0 && num_joined < 3) {
          fuzz::call_op("generation_join", {number, start(model, "sample")});
          ++num_joined;
        }
        run(number, 2, 1);
        fuzz::call_op("generation_status_", {number, int64_t{0}, Tensor::zeros({3}, Dtype::kInt64)});
      } catch (const std::runtime_error& error) {
        fuzz::claim(std::string(error.what()).find("at work in another thread") != std::string::npos, error.what());
        ++num_told;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int index = 0; index < 3; ++index) threads.emplace_back(reach, index);
  for (std::thread& thread : threads) thread.join();
  while (!run(number, 2, 100)) {
  }
  const std::vector<int32_t> ids = read(number, kNumPrompts * (1 + num_joined));
  const std::vector<int32_t> alone = generated(model, "sample", 1);
  for (size_t i = 0; i < ids.size(); ++i) fuzz::claim(ids[i] == alone[i % alone.size()], "company changes no token");
  fuzz::call_op("generation_end", {number});
}

std::vector<Value> attention(fuzz::SplitMix& random, int64_t num_threads, bool is_backward) {
  const auto big = [&] { return fuzz::floats(random, {3, 5, 40, 16}); };
  std::vector<Value> arguments = {big(), big(), big(), big(), Tensor::zeros({3, 5, 40})};
  if (is_backward) {
    arguments.emplace_back(big());
    arguments.emplace_back(Tensor::zeros({0}));
    for (int i = 0; i < 3; ++i) arguments.emplace_back(big());
  }
  arguments.emplace_back(Tensor::zeros({0}, Dtype::kUint8));
  for (int i = 0; i < 2; ++i) arguments.emplace_back(Tensor::zeros({0}, Dtype::kInt32));
  for (int i = 0; i < 2; ++i) arguments.emplace_back(Tensor::zeros({0}));
  arguments.emplace_back(fuzz::list_of<int64_t>({num_threads, 1, 0, 30, 9}));
  arguments.emplace_back(fuzz::list_of<double>({0.25, 1.1, 0.0, 1e-6}));
  arguments.emplace_back(std::string("generic"));
  return arguments;
}

// What an op for training writes, all of it.
std::vector<float> trained(int kind, int64_t num_threads) {
  fuzz::SplitMix random{5};
  std::vector<Value> arguments;
  std::vector<Tensor> written;
  if (kind < 2) {
    arguments = attention(random, num_threads, kind == 1);
    const std::vector<size_t> places = kind == 1 ? std::vector<size_t>{7, 8, 9} : std::vector<size_t>{3, 4};
    for (const size_t place : places) written.push_back(std::get<Tensor>(arguments[place].it));
    fuzz::call_op(kind == 1 ? "native_attention_backward_" : "native_attention_forward_", arguments);
  } else if (kind == 2) {
    written = {Tensor::zeros({50, 40})};
    fuzz::call_op("native_swiglu_", {fuzz::floats(random, {50, 80}), Tensor::zeros({0}), written[0],
                                     fuzz::list_of<int64_t>({num_threads}), std::string("generic")});
  } else {
    for (int64_t rows = 3; rows < 9; ++rows) written.push_back(fuzz::floats(random, {rows, 11}));
    fuzz::call_op("native_orthogonalize_",
                  {fuzz::list_of(written), fuzz::list_of<int64_t>({num_threads, 4}),
                   fuzz::list_of<double>({3.4445, -4.775, 2.0315, 1e-7}), std::string("generic")});
  }
  std::vector<float> numbers;
  for (const Tensor& tensor : written) {
    numbers.insert(numbers.end(), tensor.data<float>(), tensor.data<float>() + tensor.numel());
  }
  return numbers;
}

void encode(const std::vector<std::string>& files) {
  const std::vector<std::string_view> views(files.begin(), files.end());
  const midi::Vocabulary vocabulary(fuzz::preset(true, 2));
  const auto alone = midi::encode_many(views, vocabulary, false, 1);
  const auto together = midi::encode_many(views, vocabulary, false, 4);
  for (size_t i = 0; i < files.size(); ++i) {
    fuzz::claim(alone[i].reason == together[i].reason, "threads change no error");
    fuzz::claim(alone[i].encoding.has_value() == together[i].encoding.has_value(), "threads change no outcome");
    if (alone[i].encoding) fuzz::claim(alone[i].encoding->ids == together[i].encoding->ids, "threads change no token");
  }
}

}  // namespace

int main(int argc, char** argv) {
  work_as_a_team();
  const std::vector<fuzz::Model> models = some_models();
  for (const fuzz::Model& model : models) generate(model);
  for (const fuzz::Model& model : models) share(model);
  for (int kind = 0; kind < 4; ++kind) {
    for (const int64_t num_threads : {2, 4}) {
      fuzz::claim(trained(kind, num_threads) == trained(kind, 1), "threads change no number", kind);
    }
  }
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    files.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  encode(files);
  std::printf("threads: %zu models, %zu files, each as by one thread\n", models.size(), files.size());
  return 0;
}
