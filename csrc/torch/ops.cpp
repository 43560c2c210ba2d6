// The ops of namespace `amt` over csrc/engine: check the tensors, call, translate the error. They see torch through
// library.h and tensor.h alone, so one build serves every torch from 2.10 on. amt/ops/native.py is their face.
#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "checked_grammar.h"
#include "errors.h"
#include "generation.h"
#include "huge_pages.h"
#include "library.h"
#include "tensor.h"
#include "training_ops.h"

namespace amt {
namespace {

using engine::DecoderShape;
using engine::Generation;
using engine::GenerationPlan;
using engine::PackedDecoder;
using stable::ScalarType;
using stable::Tensor;

template <typename T>
T* data(const Tensor& tensor, ScalarType type, const std::string& name) {
  check(tensor.scalar_type() == type, name + " has the wrong dtype");
  check(tensor.is_contiguous() && tensor.is_cpu(), name + " must be contiguous and on the CPU");
  check(tensor.is_in_storage(), name + " has lost its memory");
  return static_cast<T*>(tensor.data_ptr());
}

std::byte* bytes(const Tensor& tensor, const char* name) {
  auto* memory = data<std::byte>(tensor, ScalarType::Byte, name);
  check(reinterpret_cast<uintptr_t>(memory) % 64 == 0, std::string(name) + " must begin at a multiple of 64 bytes");
  return memory;
}

PackedDecoder packed_decoder(const Tensor& packed) { return {bytes(packed, "packed"), packed.numel()}; }

DecoderShape to_shape(const std::string& text) {
  const auto shape = from_text<DecoderShape>(text);
  shape.check();
  return shape;
}

// options: of GenerationPlan; prompts: of PromptLists; vocabulary, constraints: of the grammars, each with the same
// vocabulary, empty: none (all texts of midi/named_values.h); features: of the model's state features, empty: none;
// memories (num_layers, 2, num_heads, len, head_dim) float32; masks (len) uint8, or empty; prefix_ids, history_ids: all
// prefixes and all histories, int32.
GenerationPlan to_plan(const DecoderShape& shape, const std::string& options, const std::string& prompts,
                       const std::string& vocabulary, const std::vector<std::string>& constraints,
                       const std::string& features, const std::vector<Tensor>& memories,
                       const std::vector<Tensor>& masks, const Tensor& prefix_ids, const Tensor& history_ids) {
  check(memories.size() == masks.size(), "there must be a mask for each memory");
  auto plan = from_text<GenerationPlan>(options);
  for (const std::string& each : constraints) plan.grammars.push_back(midi::grammar_from(vocabulary, each));
  if (!features.empty()) plan.features.emplace(features);
  for (size_t index = 0; index < memories.size(); ++index) {
    const Tensor& memory = memories[index];
    check(memory.dim() == 5 && memory.size(0) == shape.num_cross_layers() && memory.size(1) == 2 &&
              memory.size(2) == shape.num_heads && memory.size(4) == shape.head_dim(),
          "memory " + std::to_string(index) +
              " must be (num_cross_layers, 2, num_heads, len, head_dim) of these weights");
    const int64_t len = memory.size(3), mask_len = masks[index].numel();
    check(mask_len == 0 || mask_len == len, "the mask of memory " + std::to_string(index) + " has another length");
    plan.memories.push_back({data<const float>(memory, ScalarType::Float, "memory"), len,
                             mask_len ? data<const uint8_t>(masks[index], ScalarType::Byte, "mask") : nullptr});
  }
  add_groups(prompts, {data<const int32_t>(prefix_ids, ScalarType::Int, "prefix_ids"), prefix_ids.numel()},
             {data<const int32_t>(history_ids, ScalarType::Int, "history_ids"), history_ids.numel()}, plan);
  return plan;
}

// The generations that are running, by number. A number that is none, or no longer, is an error and not a crash.
class Generations {
 public:
  struct Entry {
    Entry(const Tensor& weights, const PackedDecoder& decoder, GenerationPlan plan)
        : packed(weights), packed_ptr(weights.data_ptr()), generation(decoder, std::move(plan)) {}
    const Tensor packed;  // lives as long as what points into it
    const void* packed_ptr;
    std::mutex busy;
    Generation generation;
  };

  int64_t add(std::shared_ptr<Entry> entry) {
    const std::lock_guard<std::mutex> lock(mutex_);
    entries_.emplace(++last_, std::move(entry));
    return last_;
  }
  void remove(int64_t number) {
    std::shared_ptr<Entry> entry;  // ends behind the lock
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = entries_.find(number);
    if (found == entries_.end()) return;
    entry = std::move(found->second);
    entries_.erase(found);
  }
  std::shared_ptr<Entry> get(int64_t number) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = entries_.find(number);
    check(found != entries_.end(), "there is no generation " + std::to_string(number) + "; begin one first");
    return found->second;
  }

 private:
  std::mutex mutex_;
  std::map<int64_t, std::shared_ptr<Entry>> entries_;
  int64_t last_ = 0;
};

Generations& generations() {
  static auto* const all = new Generations;  // never deleted: at the end of the process torch may be gone already
  return *all;
}

// `work` with a generation that no other thread is at.
template <typename Work>
void with_generation(int64_t number, Work&& work) {
  const std::shared_ptr<Generations::Entry> entry = generations().get(number);
  const std::unique_lock<std::mutex> lock(entry->busy, std::try_to_lock);
  check(lock.owns_lock(), "this generation is at work in another thread");
  bytes(entry->packed, "packed");  // somebody may have taken its memory away
  check(entry->packed.data_ptr() == entry->packed_ptr, "packed has moved since this generation began");
  work(entry->generation);
}

template <typename Names>
std::string joined(const Names& names) {
  std::string text;
  for (const char* name : names) text += (text.empty() ? "" : ",") + std::string(name);
  return text;
}

std::string kernel_sets() {
  std::vector<const char*> names;
  for (int64_t index = 0; index < engine::num_kernel_sets(); ++index) names.push_back(engine::kernel_set(index).name);
  return joined(names);
}

std::string finish_reasons() { return joined(names_of(engine::FinishReason{})); }

int64_t packed_decoder_bytes(std::string shape) {
  return translating([&] { return PackedDecoder::bytes(to_shape(shape)); });
}

int64_t packed_vocab_size(Tensor packed) {
  return translating([&] { return packed_decoder(packed).shape().vocab_size; });
}

void pack_decoder(Tensor packed, std::string shape, std::vector<Tensor> tensors) {
  translating([&] {
    const DecoderShape sizes = to_shape(shape);
    check(packed.numel() == PackedDecoder::bytes(sizes), "packed must have packed_decoder_bytes(shape) bytes");
    const std::vector<int64_t> expected = PackedDecoder::tensor_sizes(sizes);
    check(tensors.size() == expected.size(),
          "these weights have " + std::to_string(expected.size()) + " tensors, got " + std::to_string(tensors.size()));
    std::vector<const float*> pointers;
    for (size_t index = 0; index < tensors.size(); ++index) {
      const std::string name = "weight tensor " + std::to_string(index);
      check(tensors[index].numel() == expected[index], name + " has " + std::to_string(tensors[index].numel()) +
                                                           " numbers, expected " + std::to_string(expected[index]));
      pointers.push_back(data<const float>(tensors[index], ScalarType::Float, name));
    }
    std::byte* memory = bytes(packed, "packed");
    engine::advise_huge_pages(memory, packed.numel());
    PackedDecoder::pack(sizes, pointers, memory);
  });
}

int64_t generation_start(Tensor packed, std::string options, std::string prompts, std::string vocabulary,
                         std::vector<std::string> constraints, std::string features, std::vector<Tensor> memories,
                         std::vector<Tensor> masks, Tensor prefix_ids, Tensor history_ids) {
  return translating([&] {
    const PackedDecoder decoder = packed_decoder(packed);
    return generations().add(
        std::make_shared<Generations::Entry>(packed, decoder,
                                             to_plan(decoder.shape(), options, prompts, vocabulary, constraints,
                                                     features, memories, masks, prefix_ids, history_ids)));
  });
}

void generation_end(int64_t generation) { generations().remove(generation); }

// The groups of `other` go on in `generation`, which has the same weights, behind those that it has; `other` ends. How
// many groups there are now.
int64_t generation_join(int64_t generation, int64_t other) {
  return translating([&] {
    const std::shared_ptr<Generations::Entry> here = generations().get(generation), there = generations().get(other);
    check(here != there, "a generation does not join itself");
    const std::unique_lock<std::mutex> lock(here->busy, std::try_to_lock), second(there->busy, std::try_to_lock);
    check(lock.owns_lock() && second.owns_lock(), "this generation is at work in another thread");
    check(bytes(here->packed, "packed") == bytes(there->packed, "packed"),
          "generations that are joined have the same weights");
    here->generation.join(there->generation);
    generations().remove(other);
    return here->generation.num_groups();
  });
}

void generation_leave(int64_t generation, int64_t group) {
  translating([&] { with_generation(generation, [&](Generation& running) { running.leave(group); }); });
}

// A group that is done begins anew with this prefix, see Generation::restart. history_ids: the whole piece up to the
// first new token; empty: the prefix is that.
void generation_restart(int64_t generation, int64_t group, Tensor prefix_ids, int64_t max_new_tokens,
                        int64_t first_sequence, Tensor history_ids, int64_t num_before, int64_t tokens_left) {
  translating([&] {
    const auto* prefix = data<const int32_t>(prefix_ids, ScalarType::Int, "prefix_ids");
    const auto* history = data<const int32_t>(history_ids, ScalarType::Int, "history_ids");
    with_generation(generation, [&](Generation& running) {
      running.restart(group, {prefix, prefix + prefix_ids.numel()}, max_new_tokens, first_sequence,
                      {{history, history + history_ids.numel()}, num_before, tokens_left});
    });
  });
}

// Of a group: status gets its new tokens, whether it is done, and the reason; what went wrong is returned.
std::string generation_status(int64_t generation, int64_t group, Tensor status) {
  return translating([&] {
    check(status.numel() == 3, "status has 3 numbers");
    auto* out = data<int64_t>(status, ScalarType::Long, "status");
    std::string failure;
    with_generation(generation, [&](const Generation& running) {
      const engine::GroupStatus found = running.status(group);
      out[0] = found.num_new_tokens;
      out[1] = found.is_done;
      out[2] = static_cast<int64_t>(found.reason);
      failure = found.failure;
    });
    return failure;
  });
}

// progress: passes, new tokens, whether all is done, then nanoseconds: matrix products, attention, other work on rows,
// choice of tokens.
void generation_run(int64_t generation, Tensor progress, int64_t num_threads, int64_t max_steps, int64_t max_ms,
                    bool is_last, std::string isa) {
  translating([&] {
    check(progress.numel() == 7, "progress has 7 numbers");
    auto* out = data<int64_t>(progress, ScalarType::Long, "progress");
    with_generation(generation, [&](Generation& running) {
      const engine::Progress done =
          running.run(engine::find_kernels(isa.c_str()), num_threads, max_steps, max_ms, is_last);
      out[0] = done.num_steps;
      out[1] = done.num_tokens;
      out[2] = done.is_done;
      out[3] = done.times.matmul;
      out[4] = done.times.attention;
      out[5] = done.times.rows;
      out[6] = done.times.choice;
    });
  });
}

void generation_append(int64_t generation, Tensor parents, Tensor tokens, Tensor logits, int64_t num_threads,
                       std::string isa) {
  translating([&] {
    with_generation(generation, [&](Generation& running) {
      const int64_t num_rows = running.num_rows();
      check(parents.numel() == num_rows && tokens.dim() == 2 && tokens.size(0) == num_rows,
            "parents must be (num_rows), tokens (num_rows, num_tokens)");
      check(logits.numel() == tokens.numel() * running.shape().vocab_size,
            "logits must be (num_rows, num_tokens, vocab_size)");
      running.append(engine::find_kernels(isa.c_str()), num_threads,
                     data<const int32_t>(parents, ScalarType::Int, "parents"),
                     data<const int32_t>(tokens, ScalarType::Int, "tokens"), tokens.size(1),
                     data<float>(logits, ScalarType::Float, "logits"));
    });
  });
}

// What there is of each group's results: lengths (num_groups, num_rows, 3): tokens (0: no such result), how many of
// them are new, and the finish reason; token_ids and log_probs (num_groups, num_rows, max_len); scores (num_groups,
// num_rows).
void generation_read(int64_t generation, Tensor lengths, Tensor token_ids, Tensor log_probs, Tensor scores) {
  translating([&] {
    with_generation(generation, [&](const Generation& running) {
      const int64_t num_groups = running.num_groups(), num_rows = running.num_rows();
      check(token_ids.dim() == 3 && token_ids.size(0) == num_groups && token_ids.size(1) == num_rows &&
                log_probs.numel() == token_ids.numel() && scores.numel() == num_groups * num_rows &&
                lengths.numel() == 3 * scores.numel(),
            "the tensors to read into must be for (num_groups, num_rows)");
      const int64_t max_len = token_ids.size(2);
      auto* length = data<int64_t>(lengths, ScalarType::Long, "lengths");
      auto* ids = data<int32_t>(token_ids, ScalarType::Int, "token_ids");
      auto* values = data<float>(log_probs, ScalarType::Float, "log_probs");
      auto* score = data<double>(scores, ScalarType::Double, "scores");
      for (int64_t group = 0; group < num_groups; ++group) {
        const engine::Search search = running.search(group);
        for (int64_t index = 0; index < num_rows; ++index, length += 3, ids += max_len, values += max_len, ++score) {
          length[0] = length[1] = length[2] = 0;
          if (index >= search.num_results()) continue;
          length[0] = search.result_length(index);
          length[1] = length[0] - running.prefix_len(group);
          length[2] = static_cast<int64_t>(search.result_reason(index));
          check(length[0] <= max_len, "the tensors to read into are too short");
          std::copy_n(search.result_tokens(index), length[0], ids);
          std::copy_n(search.result_log_probs(index), length[1], values);
          *score = search.result_score(index);
        }
      }
    });
  });
}

// Of the first row of a group: its new tokens from number `first` on, as many as token_ids and log_probs take.
// How many there are.
int64_t generation_new_tokens(int64_t generation, int64_t group, int64_t first, Tensor token_ids, Tensor log_probs) {
  return translating([&] {
    auto* ids = data<int32_t>(token_ids, ScalarType::Int, "token_ids");
    auto* values = data<float>(log_probs, ScalarType::Float, "log_probs");
    check(first >= 0 && token_ids.numel() == log_probs.numel(), "token_ids and log_probs must be of one length");
    int64_t num = 0;
    with_generation(generation, [&](const Generation& running) {
      check(group >= 0 && group < running.num_groups(), "there is no prompt " + std::to_string(group));
      const engine::Search search = running.search(group);
      if (search.num_results() == 0) return;
      const int64_t prefix_len = running.prefix_len(group), num_new = search.result_length(0) - prefix_len;
      if (first >= num_new) return;
      num = std::min(num_new - first, token_ids.numel());
      std::copy_n(search.result_tokens(0) + prefix_len + first, num, ids);
      std::copy_n(search.result_log_probs(0) + first, num, values);
    });
    return num;
  });
}

void define(stable::Library& library) {
  library.def("kernel_sets() -> str");
  library.def("finish_reasons() -> str");
  library.def("packed_decoder_bytes(str shape) -> int");
  library.def("packed_vocab_size(Tensor packed) -> int");
  library.def("pack_decoder_(Tensor(a!) packed, str shape, Tensor[] tensors) -> ()");
  library.def(
      "generation_start(Tensor packed, str options, str prompts, str vocabulary, str[] constraints, str features, "
      "Tensor[] memories, Tensor[] masks, Tensor prefix_ids, Tensor history_ids) -> int");
  library.def("generation_end(int generation) -> ()");
  library.def(
      "generation_run_(int generation, Tensor(a!) progress, int num_threads, int max_steps, int max_ms, "
      "bool is_last, str isa) -> ()");
  library.def(
      "generation_append_(int generation, Tensor parents, Tensor tokens, Tensor(a!) logits, "
      "int num_threads, str isa) -> ()");
  library.def(
      "generation_read_(int generation, Tensor(a!) lengths, Tensor(b!) token_ids, Tensor(c!) log_probs, "
      "Tensor(d!) scores) -> ()");
  library.def("training_kernel_sets() -> str");
  library.def(kAttentionForwardSchema);
  library.def(kAttentionBackwardSchema);
  library.def(kSwigluSchema);
  library.def(kOrthogonalizeSchema);
  library.def(
      "generation_new_tokens_(int generation, int group, int first, Tensor(a!) token_ids, Tensor(b!) log_probs) -> "
      "int");
  library.def("generation_join(int generation, int other) -> int");
  library.def("generation_leave(int generation, int group) -> ()");
  library.def(
      "generation_restart(int generation, int group, Tensor prefix_ids, int max_new_tokens, int first_sequence, "
      "Tensor history_ids, int num_before, int tokens_left) -> ()");
  library.def("generation_status_(int generation, int group, Tensor(a!) status) -> str");
}

void implement_anywhere(stable::Library& library) {
  library.impl<kernel_sets>("kernel_sets");
  library.impl<finish_reasons>("finish_reasons");
  library.impl<packed_decoder_bytes>("packed_decoder_bytes");
  library.impl<generation_end>("generation_end");
  library.impl<generation_join>("generation_join");
  library.impl<generation_leave>("generation_leave");
  library.impl<training_kernel_sets>("training_kernel_sets");
}

void implement_on_cpu(stable::Library& library) {
  library.impl<packed_vocab_size>("packed_vocab_size");
  library.impl<pack_decoder>("pack_decoder_");
  library.impl<generation_start>("generation_start");
  library.impl<generation_run>("generation_run_");
  library.impl<generation_append>("generation_append_");
  library.impl<generation_read>("generation_read_");
  library.impl<generation_new_tokens>("generation_new_tokens_");
  library.impl<generation_restart>("generation_restart");
  library.impl<generation_status>("generation_status_");
  library.impl<attention_forward>("native_attention_forward_");
  library.impl<attention_backward>("native_attention_backward_");
  library.impl<swiglu>("native_swiglu_");
  library.impl<orthogonalize>("native_orthogonalize_");
}

const stable::Registration schemas("amt", nullptr, define);
const stable::Registration anywhere("amt", "CompositeExplicitAutograd", implement_anywhere);
const stable::Registration on_cpu("amt", "CPU", implement_on_cpu);

}  // namespace
}  // namespace amt
