// Generations on a GPU behind plain C, for amt/ops/cuda.py. Every function that can fail returns 0, or the kind of the
// error (`Kind`), and amt_cuda_error says what it was, in the thread that called.
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "checked_grammar.h"
#include "generation.h"

#define AMT_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using amt::cuda::DeviceDecoder;
using amt::cuda::Generation;

enum Kind : int { kFine, kValueError, kDecodingError, kMemoryError, kDeviceError };

std::string& last_error() {
  static thread_local std::string error;
  return error;
}

template <typename Work>
int guarded(Work work) {
  try {
    work();
    return kFine;
  } catch (const amt::engine::DecodingError& error) {
    last_error() = error.what();
    return kDecodingError;
  } catch (const amt::cuda::OutOfMemory& error) {
    last_error() = error.what();
    return kMemoryError;
  } catch (const std::bad_alloc&) {
    last_error() = "there is not enough memory; give fewer prompts at once";
    return kMemoryError;
  } catch (const std::invalid_argument& error) {
    last_error() = error.what();
    return kValueError;
  } catch (const std::exception& error) {
    last_error() = error.what();
    return kDeviceError;
  }
}

struct Decoder {
  std::shared_ptr<DeviceDecoder> decoder;
};

struct Running {
  std::shared_ptr<DeviceDecoder> decoder;  // lives as long as what uses it
  std::unique_ptr<Generation> generation;
  std::mutex busy;
};

template <typename Work>
int with(Running* running, Work work) {
  return guarded([&] {
    const std::unique_lock<std::mutex> lock(running->busy, std::try_to_lock);
    if (!lock.owns_lock()) throw std::invalid_argument("this generation is at work in another thread");
    work(*running->generation);
  });
}

}  // namespace

AMT_EXPORT const char* amt_cuda_error() { return last_error().c_str(); }

// loops: 1: this GPU repeats steps by itself; 0: the CPU starts each.
AMT_EXPORT int amt_cuda_can_loop(int device, int* loops) {
  return guarded([&] { *loops = amt::cuda::can_loop(amt::cuda::Stream(device)) ? 1 : 0; });
}

// shape: of DecoderShape, a text of midi/named_values.h; tensors: float32 on the CPU, see DeviceDecoder.
AMT_EXPORT int amt_cuda_decoder_new(int device, const char* shape, const float* const* tensors, const int64_t* sizes,
                                    int64_t num_tensors, Decoder** made) {
  return guarded([&] {
    const std::vector<const float*> pointers(tensors, tensors + num_tensors);
    const std::vector<int64_t> numbers(sizes, sizes + num_tensors);
    *made = new Decoder{
        std::make_shared<DeviceDecoder>(device, amt::from_text<amt::engine::DecoderShape>(shape), pointers, numbers)};
  });
}
AMT_EXPORT void amt_cuda_decoder_delete(Decoder* decoder) { delete decoder; }
// 1: the GPU repeats steps by itself; 0: the CPU starts each.
AMT_EXPORT int amt_cuda_decoder_loops(const Decoder* decoder) { return decoder->decoder->can_loop() ? 1 : 0; }

// As amt::generation_start of csrc/torch/ops.cpp: texts of midi/named_values.h; memories (num_cross_layers, 2,
// num_heads, len, head_dim) float32 in the GPU's memory, masks (len) on the CPU or null. may_loop: 0: the CPU starts
// each step, even where the GPU could.
AMT_EXPORT int amt_cuda_generation_new(Decoder* decoder, const char* options, const char* prompts,
                                       const char* vocabulary, const char* const* constraints, int64_t num_grammars,
                                       const char* features, const float* const* memories, const int64_t* memory_lens,
                                       const uint8_t* const* masks, int64_t num_memories, const int32_t* prefix_ids,
                                       int64_t num_prefix_ids, const int32_t* history_ids, int64_t num_history_ids,
                                       int may_loop, Running** made) {
  return guarded([&] {
    auto plan = amt::from_text<amt::engine::GenerationPlan>(options);
    for (int64_t index = 0; index < num_grammars; ++index) {
      plan.grammars.push_back(amt::midi::grammar_from(vocabulary, constraints[index]));
    }
    if (features[0] != '\0') plan.features.emplace(features);
    for (int64_t index = 0; index < num_memories; ++index) {
      plan.memories.push_back({memories[index], memory_lens[index], masks[index]});
    }
    amt::engine::add_groups(prompts, {prefix_ids, num_prefix_ids}, {history_ids, num_history_ids}, plan);
    auto running = std::make_unique<Running>();
    running->decoder = decoder->decoder;
    running->generation = std::make_unique<Generation>(*running->decoder, std::move(plan), may_loop != 0);
    *made = running.release();
  });
}
AMT_EXPORT void amt_cuda_generation_delete(Running* running) { delete running; }
// 1: its steps have run in a loop on the GPU; 0: the CPU has started each, or none yet.
AMT_EXPORT int amt_cuda_generation_loops(const Running* running) { return running->generation->has_looped() ? 1 : 0; }

// progress: new tokens, whether all is done.
AMT_EXPORT int amt_cuda_generation_run(Running* running, int64_t max_steps, int is_last, int64_t* progress) {
  return with(running, [&](Generation& generation) {
    const amt::cuda::Progress done = generation.run(max_steps, is_last != 0);
    progress[0] = done.num_tokens;
    progress[1] = done.is_done ? 1 : 0;
  });
}

// What there is of each prompt's results, as amt::generation_read of csrc/torch/ops.cpp.
AMT_EXPORT int amt_cuda_generation_read(Running* running, int64_t max_len, int64_t* lengths, int32_t* token_ids,
                                        float* log_probs, double* scores) {
  return with(running, [&](Generation& generation) {
    for (int64_t prompt = 0; prompt < generation.num_prompts(); ++prompt) {
      const amt::engine::Search search = generation.search(prompt);
      for (int64_t index = 0; index < generation.num_rows();
           ++index, lengths += 3, token_ids += max_len, log_probs += max_len, ++scores) {
        lengths[0] = lengths[1] = lengths[2] = 0;
        if (index >= search.num_results()) continue;
        lengths[0] = search.result_length(index);
        lengths[1] = lengths[0] - generation.prefix_len(prompt);
        lengths[2] = static_cast<int64_t>(search.result_reason(index));
        if (lengths[0] > max_len) throw std::invalid_argument("the arrays to read into are too short");
        std::copy_n(search.result_tokens(index), lengths[0], token_ids);
        std::copy_n(search.result_log_probs(index), lengths[1], log_probs);
        *scores = search.result_score(index);
      }
    }
  });
}

// Of the first row of a prompt: its new tokens from number `first` on, at most num_room; num: how many there are.
AMT_EXPORT int amt_cuda_generation_new_tokens(Running* running, int64_t prompt, int64_t first, int64_t num_room,
                                              int32_t* token_ids, float* log_probs, int64_t* num) {
  return with(running, [&](Generation& generation) {
    *num = 0;
    const amt::engine::Search search = generation.search(prompt);
    if (search.num_results() == 0) return;
    const int64_t prefix_len = generation.prefix_len(prompt), num_new = search.result_length(0) - prefix_len;
    if (first < 0 || first >= num_new) return;
    *num = std::min(num_new - first, num_room);
    std::copy_n(search.result_tokens(0) + prefix_len + first, *num, token_ids);
    std::copy_n(search.result_log_probs(0) + first, *num, log_probs);
  });
}
