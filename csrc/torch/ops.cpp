// The ops of namespace `amt` over csrc/engine: check the tensors, call, translate the error. Built on LibTorch's stable
// ABI, so one build serves every torch from 2.10 on. amt/ops/native.py is their face.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "training_ops.h"
#include "generation.h"
#include "huge_pages.h"

namespace amt {
namespace {

using engine::DecoderShape;
using engine::Generation;
using engine::GenerationPlan;
using engine::PackedDecoder;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Only std::runtime_error crosses into torch; the first word says which Python error it becomes.
template <typename Call>
auto translating(Call&& call) {
  try {
    return call();
  } catch (const engine::DecodingError& error) {
    throw std::runtime_error(std::string("DecodingError: ") + error.what());
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(std::string("ValueError: ") + error.what());
  }
}

void check(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
}

template <typename T>
T* data(const Tensor& tensor, ScalarType type, const std::string& name) {
  check(tensor.scalar_type() == type, name + " has the wrong dtype");
  check(tensor.is_contiguous() && tensor.is_cpu(), name + " must be contiguous and on the CPU");
  return static_cast<T*>(tensor.data_ptr());
}

std::byte* bytes(const Tensor& tensor, const char* name) {
  auto* memory = data<std::byte>(tensor, ScalarType::Byte, name);
  check(reinterpret_cast<uintptr_t>(memory) % 64 == 0, std::string(name) + " must begin at a multiple of 64 bytes");
  return memory;
}

PackedDecoder packed_decoder(const Tensor& packed) { return {bytes(packed, "packed"), packed.numel()}; }

// vocab_size, d_model, num_heads, num_layers, hidden_size, max_sequence_length, is_norm_first, activation, positions,
// weight_type
DecoderShape to_shape(const std::vector<int64_t>& numbers) {
  check(numbers.size() == 10, "shape has 10 numbers");
  DecoderShape shape{};
  shape.vocab_size = numbers[0];
  shape.d_model = numbers[1];
  shape.num_heads = numbers[2];
  shape.num_layers = numbers[3];
  shape.hidden_size = numbers[4];
  shape.max_sequence_length = numbers[5];
  shape.is_norm_first = numbers[6] != 0;
  shape.activation = static_cast<engine::Activation>(numbers[7]);
  shape.positions = static_cast<engine::PositionKind>(numbers[8]);
  shape.weight_type = static_cast<engine::NumberType>(numbers[9]);
  shape.check();
  return shape;
}

// options: has_search, mode, num_rows, eos_token_id, min_new_tokens, no_repeat_ngram_size, top_k, early_stopping,
// forced_bos_token_id, forced_eos_token_id (-1: none), num_drafts, max_ngram, how many tokens are suppressed, these,
// and those suppressed at the beginning; numbers: temperature, top_p, min_p, repetition_penalty, length_penalty,
// guidance_scale; memories (num_layers, 2, num_heads, len, head_dim) float32; masks (len) uint8, or empty; groups
// (num_groups, 6) int64: memory, prefix_len, max_new_tokens, seed, first_sequence, negative_memory (-1: none);
// prefix_ids: all prefixes, int32.
GenerationPlan to_plan(const DecoderShape& shape, const std::vector<int64_t>& options,
                       const std::vector<double>& numbers, const std::vector<int64_t>& grammar,
                       const std::vector<Tensor>& memories, const std::vector<Tensor>& masks, const Tensor& groups,
                       const Tensor& prefix_ids) {
  check(options.size() >= 13 && numbers.size() == 6, "options has 13 numbers or more, numbers 6");
  check(memories.size() == masks.size(), "there must be a mask for each memory");
  GenerationPlan plan;
  plan.has_search = options[0] != 0;
  plan.options.mode = static_cast<engine::Mode>(options[1]);
  plan.options.num_rows = static_cast<int32_t>(options[2]);
  plan.options.vocab_size = static_cast<int32_t>(shape.vocab_size);
  plan.options.eos_token_id = static_cast<int32_t>(options[3]);
  plan.options.min_new_tokens = static_cast<int32_t>(options[4]);
  plan.options.no_repeat_ngram_size = static_cast<int32_t>(options[5]);
  plan.options.top_k = static_cast<int32_t>(options[6]);
  plan.options.early_stopping = static_cast<engine::EarlyStopping>(options[7]);
  plan.options.temperature = static_cast<float>(numbers[0]);
  plan.options.top_p = numbers[1];
  plan.options.min_p = static_cast<float>(numbers[2]);
  plan.options.repetition_penalty = static_cast<float>(numbers[3]);
  plan.options.length_penalty = numbers[4];
  plan.options.guidance_scale = static_cast<float>(numbers[5]);
  plan.options.forced_bos_token_id = static_cast<int32_t>(options[8]);
  plan.options.forced_eos_token_id = static_cast<int32_t>(options[9]);
  plan.num_drafts = options[10];
  plan.max_ngram = options[11];
  plan.suppressed.resize(options.size() > 13 ? static_cast<size_t>(shape.vocab_size) : 0);
  for (size_t index = 13; index < options.size(); ++index) {
    check(options[index] >= 0 && options[index] < shape.vocab_size, "a suppressed token is no token");
    const bool is_always = static_cast<int64_t>(index) - 13 < options[12];
    plan.suppressed[options[index]] |= is_always ? engine::kSuppressed : engine::kBeginSuppressed;
  }
  plan.grammar = grammar;
  for (size_t index = 0; index < memories.size(); ++index) {
    const Tensor& memory = memories[index];
    check(memory.dim() == 5 && memory.size(0) == shape.num_layers && memory.size(1) == 2 &&
              memory.size(2) == shape.num_heads && memory.size(4) == shape.head_dim(),
          "memory " + std::to_string(index) + " must be (num_layers, 2, num_heads, len, head_dim) of these weights");
    const int64_t len = memory.size(3), mask_len = masks[index].numel();
    check(mask_len == 0 || mask_len == len, "the mask of memory " + std::to_string(index) + " has another length");
    plan.memories.push_back({data<const float>(memory, ScalarType::Float, "memory"), len,
                             mask_len ? data<const uint8_t>(masks[index], ScalarType::Byte, "mask") : nullptr});
  }
  check(groups.dim() == 2 && groups.size(1) == 6, "groups must be (num_groups, 6)");
  const auto* rows = data<const int64_t>(groups, ScalarType::Long, "groups");
  const auto* ids = data<const int32_t>(prefix_ids, ScalarType::Int, "prefix_ids");
  int64_t place = 0;
  for (int64_t index = 0; index < groups.size(0); ++index, rows += 6) {
    check(rows[1] >= 0 && rows[1] <= prefix_ids.numel() - place, "prefix_ids is shorter than the prefixes");
    plan.groups.push_back(
        {rows[0], {ids + place, ids + place + rows[1]}, rows[2], static_cast<uint64_t>(rows[3]), rows[4], rows[5]});
    place += rows[1];
  }
  return plan;
}

std::string kernel_sets() {
  std::string names;
  for (int64_t index = 0; index < engine::num_kernel_sets(); ++index) {
    names += (index ? "," : "") + std::string(engine::kernel_set(index).name);
  }
  return names;
}

int64_t packed_decoder_bytes(std::vector<int64_t> shape) {
  return translating([&] { return PackedDecoder::bytes(to_shape(shape)); });
}

std::vector<int64_t> packed_decoder_shape(Tensor packed) {
  return translating([&] {
    const DecoderShape shape = packed_decoder(packed).shape();
    return std::vector<int64_t>{shape.vocab_size,
                                shape.d_model,
                                shape.num_heads,
                                shape.num_layers,
                                shape.hidden_size,
                                shape.max_sequence_length,
                                shape.is_norm_first,
                                static_cast<int64_t>(shape.activation),
                                static_cast<int64_t>(shape.positions),
                                static_cast<int64_t>(shape.weight_type)};
  });
}

void pack_decoder(Tensor packed, std::vector<int64_t> shape, std::vector<Tensor> tensors) {
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

int64_t generation_bytes(Tensor packed, std::vector<int64_t> options, std::vector<double> numbers,
                         std::vector<int64_t> grammar, std::vector<Tensor> memories, std::vector<Tensor> masks,
                         Tensor groups, Tensor prefix_ids) {
  return translating([&] {
    const PackedDecoder decoder = packed_decoder(packed);
    return Generation::bytes(decoder.shape(),
                             to_plan(decoder.shape(), options, numbers, grammar, memories, masks, groups, prefix_ids));
  });
}

void generation_start(Tensor state, Tensor packed, std::vector<int64_t> options, std::vector<double> numbers,
                      std::vector<int64_t> grammar, std::vector<Tensor> memories, std::vector<Tensor> masks,
                      Tensor groups, Tensor prefix_ids) {
  translating([&] {
    const PackedDecoder decoder = packed_decoder(packed);
    const GenerationPlan plan =
        to_plan(decoder.shape(), options, numbers, grammar, memories, masks, groups, prefix_ids);
    check(state.numel() == Generation::bytes(decoder.shape(), plan), "state must have generation_bytes(...) bytes");
    std::byte* block = bytes(state, "state");
    engine::advise_huge_pages(block, state.numel());
    Generation::start(decoder.shape(), plan, block);
  });
}

// progress: passes, new tokens, whether all is done, then nanoseconds: matrix products, attention, other work on rows,
// choice of tokens.
void generation_run(Tensor state, Tensor packed, Tensor progress, int64_t num_threads, int64_t max_steps,
                    int64_t max_ms, bool is_last, std::string isa) {
  translating([&] {
    const PackedDecoder decoder = packed_decoder(packed);
    check(progress.numel() == 7, "progress has 7 numbers");
    auto* out = data<int64_t>(progress, ScalarType::Long, "progress");
    Generation generation(decoder, bytes(state, "state"), state.numel());
    const engine::Progress done =
        generation.run(engine::find_kernels(isa.c_str()), num_threads, max_steps, max_ms, is_last);
    out[0] = done.num_steps;
    out[1] = done.num_tokens;
    out[2] = done.is_done;
    out[3] = done.times.matmul;
    out[4] = done.times.attention;
    out[5] = done.times.rows;
    out[6] = done.times.choice;
  });
}

void generation_append(Tensor state, Tensor packed, Tensor parents, Tensor tokens, Tensor logits, int64_t num_threads,
                       std::string isa) {
  translating([&] {
    const PackedDecoder decoder = packed_decoder(packed);
    Generation generation(decoder, bytes(state, "state"), state.numel());
    const int64_t num_rows = generation.num_rows();
    check(parents.numel() == num_rows && tokens.dim() == 2 && tokens.size(0) == num_rows,
          "parents must be (num_rows), tokens (num_rows, num_tokens)");
    check(logits.numel() == tokens.numel() * decoder.shape().vocab_size,
          "logits must be (num_rows, num_tokens, vocab_size)");
    generation.append(engine::find_kernels(isa.c_str()), num_threads,
                      data<const int32_t>(parents, ScalarType::Int, "parents"),
                      data<const int32_t>(tokens, ScalarType::Int, "tokens"), tokens.size(1),
                      data<float>(logits, ScalarType::Float, "logits"));
  });
}

// What there is of each group's results: lengths (num_groups, num_rows, 3): tokens (0: no such result), how many of
// them are new, and the finish reason; token_ids and log_probs (num_groups, num_rows, max_len); scores (num_groups,
// num_rows).
void generation_read(Tensor state, Tensor packed, Tensor lengths, Tensor token_ids, Tensor log_probs, Tensor scores) {
  translating([&] {
    const PackedDecoder decoder = packed_decoder(packed);
    Generation generation(decoder, bytes(state, "state"), state.numel());
    const int64_t num_groups = generation.num_groups(), num_rows = generation.num_rows();
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
      const engine::Search search = generation.search(group);
      for (int64_t index = 0; index < num_rows; ++index, length += 3, ids += max_len, values += max_len, ++score) {
        length[0] = length[1] = length[2] = 0;
        if (index >= search.num_results()) continue;
        length[0] = search.result_length(index);
        length[1] = length[0] - generation.prefix_len(group);
        length[2] = static_cast<int64_t>(search.result_reason(index));
        check(length[0] <= max_len, "the tensors to read into are too short");
        std::copy_n(search.result_tokens(index), length[0], ids);
        std::copy_n(search.result_log_probs(index), length[1], values);
        *score = search.result_score(index);
      }
    }
  });
}

}  // namespace

STABLE_TORCH_LIBRARY(amt, library) {
  library.def("kernel_sets() -> str");
  library.def("packed_decoder_bytes(int[] shape) -> int");
  library.def("packed_decoder_shape(Tensor packed) -> int[]");
  library.def("pack_decoder_(Tensor(a!) packed, int[] shape, Tensor[] tensors) -> ()");
  library.def(
      "generation_bytes(Tensor packed, int[] options, float[] numbers, int[] grammar, Tensor[] memories, "
      "Tensor[] masks, Tensor groups, Tensor prefix_ids) -> int");
  library.def(
      "generation_start_(Tensor(a!) state, Tensor packed, int[] options, float[] numbers, int[] grammar, "
      "Tensor[] memories, Tensor[] masks, Tensor groups, Tensor prefix_ids) -> ()");
  library.def(
      "generation_run_(Tensor(a!) state, Tensor packed, Tensor(b!) progress, int num_threads, int max_steps, "
      "int max_ms, bool is_last, str isa) -> ()");
  library.def(
      "generation_append_(Tensor(a!) state, Tensor packed, Tensor parents, Tensor tokens, Tensor(b!) logits, "
      "int num_threads, str isa) -> ()");
  library.def(
      "generation_read_(Tensor state, Tensor packed, Tensor(a!) lengths, Tensor(b!) token_ids, Tensor(c!) log_probs, "
      "Tensor(d!) scores) -> ()");
  library.def("training_kernel_sets() -> str");
  library.def(kAttentionForwardSchema);
  library.def(kAttentionBackwardSchema);
  library.def(kSwigluSchema);
  library.def(kOrthogonalizeSchema);
}

STABLE_TORCH_LIBRARY_IMPL(amt, CompositeExplicitAutograd, library) {
  library.impl("kernel_sets", TORCH_BOX(&kernel_sets));
  library.impl("packed_decoder_bytes", TORCH_BOX(&packed_decoder_bytes));
  library.impl("training_kernel_sets", TORCH_BOX(&training_kernel_sets));
}

STABLE_TORCH_LIBRARY_IMPL(amt, CPU, library) {
  library.impl("packed_decoder_shape", TORCH_BOX(&packed_decoder_shape));
  library.impl("pack_decoder_", TORCH_BOX(&pack_decoder));
  library.impl("generation_bytes", TORCH_BOX(&generation_bytes));
  library.impl("generation_start_", TORCH_BOX(&generation_start));
  library.impl("generation_run_", TORCH_BOX(&generation_run));
  library.impl("generation_append_", TORCH_BOX(&generation_append));
  library.impl("generation_read_", TORCH_BOX(&generation_read));
  library.impl("native_attention_forward_", TORCH_BOX(&attention_forward));
  library.impl("native_attention_backward_", TORCH_BOX(&attention_backward));
  library.impl("native_swiglu_", TORCH_BOX(&swiglu));
  library.impl("native_orthogonalize_", TORCH_BOX(&orthogonalize));
}

}  // namespace amt
