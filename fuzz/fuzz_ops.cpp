// Calls of the ops, one after the other, with wrong numbers, tensors and texts: each works or is an error that is
// known. tests/ops/boundary_calls.py does the same with torch, without coverage to guide it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "claims.h"
#include "inputs.h"
#include "small_model.h"
#include "small_torch.h"

using namespace amt;
using fuzz::Dtype;
using fuzz::Tensor;
using fuzz::Value;

namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max(), kMin = std::numeric_limits<int64_t>::min();

int64_t wild_number(fuzz::Bytes& bytes) {
  return bytes.one_of<int64_t>({0, 1, -1, 2, 3, 7, 64, 65, 1 << 16, 1 << 20, int64_t{1} << 31, (int64_t{1} << 31) - 1,
                                -(int64_t{1} << 31), int64_t{1} << 32, (int64_t{1} << 32) + 1, int64_t{1} << 40,
                                (int64_t{1} << 62) + 1, kMax, kMin});
}

std::string wild_word(fuzz::Bytes& bytes) {
  if (bytes.rarely(2)) return std::to_string(wild_number(bytes));
  return bytes.one_of<const char*>({"nan", "inf", "-inf", "1e999", "-1e30", "0", "-1", "2", "1e-30", "abc", "", "1 2 3",
                                    "never", "beams", "\n", "\1", "99999999999999999999"});
}

Tensor changed_tensor(const Tensor& given, fuzz::Bytes& bytes) {
  Tensor tensor = given;
  const int64_t numel = tensor.numel();
  switch (bytes.below(12)) {
    case 0:
      return Tensor::zeros(tensor.sizes, static_cast<Dtype>(bytes.below(7)));
    case 1:  // shorter or longer
      return Tensor::zeros({bytes.below(2 * numel + 2) % (1 << 20)}, tensor.dtype);
    case 2:
      return Tensor::zeros(bytes.one_of<std::vector<int64_t>>({{0}, {1}, {3, 0, 5}, {2, 3, 4, 5, 6}, {}}),
                           tensor.dtype);
    case 3:
      return tensor.sizes.empty() ? tensor : tensor.transposed(0, tensor.sizes.size() - 1);
    case 4:  // its memory is gone, or some of it
      tensor = tensor.clone();
      tensor.storage = std::make_shared<fuzz::Storage>(bytes.rarely(2) ? tensor.storage->num_bytes / 2 : 0);
      return tensor;
    case 5:
      tensor.is_on_cpu = false;
      return tensor;
    case 6:  // one number for all
      tensor.strides.assign(tensor.sizes.size(), 0);
      if (bytes.rarely(2)) tensor.sizes.assign(tensor.sizes.size(), 1 << 5);
      return tensor;
    case 7: {  // any bytes
      tensor = tensor.clone();
      fuzz::SplitMix random{bytes.number(2)};
      for (int64_t i = 0; i < tensor.storage->num_bytes; ++i) {
        tensor.storage->memory.get()[i] = static_cast<std::byte>(random.next());
      }
      return tensor;
    }
    case 8: {  // another byte among the first
      tensor = tensor.clone();
      const int64_t place = bytes.below(160);
      if (place < tensor.storage->num_bytes) tensor.storage->memory.get()[place] = std::byte{bytes.next()};
      return tensor;
    }
    case 9:
      tensor.sizes.insert(tensor.sizes.begin(), 1);
      tensor.strides.insert(tensor.strides.begin(), bytes.below(8));
      return tensor;
    case 10:  // it begins in the middle
      tensor.offset += bytes.below(9) - (tensor.offset > 8 ? 4 : 0);
      return tensor;
    default:
      for (int64_t& size : tensor.sizes) size = bytes.rarely(4) ? size + 1 : size;
      return tensor;
  }
}

std::string changed_text(const std::string& given, fuzz::Bytes& bytes) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < given.size();) {
    const size_t end = std::min(given.find('\n', begin), given.size());
    lines.push_back(given.substr(begin, end - begin));
    begin = end + 1;
  }
  if (lines.empty()) lines.emplace_back();
  std::string& line = lines[static_cast<size_t>(bytes.below(static_cast<int64_t>(lines.size())))];
  const int64_t kind = bytes.below(8);
  if (kind < 6) {
    line = line.substr(0, line.find(' ')) + " " + wild_word(bytes);
  } else if (kind == 6) {
    lines.push_back(line);
  } else if (!line.empty()) {
    line[static_cast<size_t>(bytes.below(static_cast<int64_t>(line.size())))] = static_cast<char>(bytes.next());
  }
  std::string text;
  for (const std::string& each : lines) text += each + "\n";
  return text;
}

Value changed(const Value& value, fuzz::Bytes& bytes) {
  if (const auto* tensor = std::get_if<Tensor>(&value.it)) return changed_tensor(*tensor, bytes);
  if (const auto* flag = std::get_if<bool>(&value.it)) return !*flag;
  if (std::holds_alternative<int64_t>(value.it)) return wild_number(bytes);
  if (std::holds_alternative<double>(value.it)) {
    const double infinity = std::numeric_limits<double>::infinity();
    return bytes.one_of<double>({std::nan(""), infinity, -1.0, 0.0, 1e300, -infinity, 1e-300});
  }
  if (const auto* text = std::get_if<std::string>(&value.it)) {
    if (text->find('\n') != std::string::npos) return changed_text(*text, bytes);
    return std::string(bytes.one_of<const char*>({"generic", "none", "", "amx_emulated", "\2", "x 1\n"}));
  }
  auto items = std::get<std::vector<Value>>(value.it);
  if (!items.empty() && !bytes.rarely(5)) {
    const auto place = static_cast<size_t>(bytes.below(static_cast<int64_t>(items.size())));
    items[place] = changed(items[place], bytes);
  } else if (!items.empty() && bytes.rarely(2)) {
    items.push_back(items.back());
  } else if (!items.empty()) {
    items.pop_back();
  }
  return items;
}

// What came of a call: a result, or an error.
struct Outcome {
  std::optional<Value> result;
  bool is_changed;
};

// The call, with up to so many changes. Without one it must work, or say that the music ends.
Outcome call(fuzz::Bytes& bytes, const std::string& name, std::vector<Value> arguments, bool must_work,
             int64_t most_changes = 3) {
  const int64_t num_changes = bytes.below(most_changes + 1);
  for (int64_t i = 0; i < num_changes; ++i) {
    const auto place = static_cast<size_t>(bytes.below(static_cast<int64_t>(arguments.size())));
    arguments[place] = changed(arguments[place], bytes);
  }
  try {
    return {fuzz::call_op(name, arguments), num_changes > 0};
  } catch (const std::runtime_error& error) {
    const std::string said = error.what();
    const auto begins = [&](const char* word) { return said.rfind(word, 0) == 0; };
    fuzz::claim(begins("ValueError: ") || begins("DecodingError: ") || begins("MemoryError: "), said.c_str());
    fuzz::claim(said.find('\0') == std::string::npos, "an error has no zero byte");
    fuzz::claim(!must_work || num_changes > 0 || begins("DecodingError: "), said.c_str());
    return {std::nullopt, num_changes > 0};
  }
}

// A running generation, as far as its results must be known to read them.
struct Running {
  int64_t number, num_groups, num_rows;
  bool has_search;
  bool is_known;  // it is there, with so many groups and rows
};

std::optional<Running> start(fuzz::Bytes& bytes, fuzz::SplitMix& random, const fuzz::Model& model, bool has_grammar) {
  Running running{0, 1 + bytes.below(3), 1, !bytes.rarely(4), true};
  const int64_t mode = bytes.below(3);
  std::string options;
  if (running.has_search) {
    if (mode > 0) running.num_rows = 3;
    options = std::string("mode ") +
              (mode == 0   ? "greedy"
               : mode == 1 ? "sample"
                           : "beams") +
              "\n" + fuzz::line("num_rows", running.num_rows) + "eos_token_id 2\ntemperature 1\ntop_p 0.9\ntop_k 5\n" +
              "min_new_tokens 0\nguidance_scale 1.5\n" +
              fuzz::line("prompt_lookup_num_tokens", mode == 0 ? bytes.below(4) : 0);
  } else {
    running.num_groups = 1;
    running.num_rows = 2;
    options = "has_search 0\nnum_rows 2\n";
  }
  const bool has_guidance = running.has_search && bytes.rarely(4);
  const auto many = [&](const char* name, int64_t value) {
    std::string text = name;
    for (int64_t i = 0; i < running.num_groups; ++i) text += " " + std::to_string(value);
    return text + "\n";
  };
  const bool has_history = running.has_search && bytes.rarely(4);
  const std::string prompts = many("memory", 0) + many("prefix_len", 1) + many("max_new_tokens", 9) + many("seed", 3) +
                              many("first_sequence", 0) + many("num_bars", 2) + many("grammar", has_grammar ? 0 : -1) +
                              many("history_len", has_history ? 1 : 0) + many("num_before", has_history ? 1 : 0) +
                              many("tokens_left", has_history ? 20 : 0) + many("room", 9) +
                              many("negative_memory", has_guidance ? 1 : -1);
  std::vector<Value> limits;
  if (has_grammar) limits.emplace_back(std::string("max_steps 50\nmax_polyphony 3\n"));
  std::vector<Value> memories, masks;
  for (int i = 0; i < 2; ++i) {
    memories.emplace_back(fuzz::floats(random, {model.num_cross_layers, 2, 2, fuzz::kMemoryLen, 8}));
    masks.emplace_back(i == 0 ? Tensor::zeros({0}, Dtype::kUint8)
                              : Tensor::of<uint8_t>({1, 0, 1}, {fuzz::kMemoryLen}, Dtype::kUint8));
  }
  const auto ids = [&](bool are_there) {
    return Tensor::of<int32_t>(std::vector<int32_t>(static_cast<size_t>(are_there ? running.num_groups : 0), 1),
                               {are_there ? running.num_groups : 0}, Dtype::kInt32);
  };
  const Outcome begun = call(bytes, "generation_start",
                             {model.packed, options, prompts, has_grammar ? model.vocabulary : std::string(), limits,
                              model.features, memories, masks, ids(true), ids(has_history)},
                             true, 2);
  if (!begun.result) return std::nullopt;
  running.number = std::get<int64_t>(begun.result->it);
  running.is_known = !begun.is_changed;
  return running;
}

void claim_read(const std::vector<Value>& read, const fuzz::Model& model) {
  const auto& lengths = std::get<Tensor>(read[1].it);
  const auto& ids = std::get<Tensor>(read[2].it);
  const int64_t num = lengths.numel() / 3, max_len = ids.sizes.back();
  for (int64_t row = 0; row < num; ++row) {
    const int64_t length = lengths.data<int64_t>()[3 * row];
    fuzz::claim(length >= 0 && length <= max_len, "a result fits", length);
    for (int64_t i = 0; i < length; ++i) {
      const int32_t id = ids.data<int32_t>()[row * max_len + i];
      fuzz::claim(id >= 0 && id < model.vocab_size, "results are tokens", id);
    }
  }
}

void go_on(fuzz::Bytes& bytes, fuzz::SplitMix& random, const fuzz::Model& model, std::vector<Running>& running) {
  const auto place = static_cast<size_t>(bytes.below(static_cast<int64_t>(running.size())));
  Running& now = running[place];
  const int64_t groups = now.num_groups, rows = now.num_rows;
  const std::string isa = "generic";
  switch (bytes.below(9)) {
    case 0:
    case 1: {
      const Tensor progress = Tensor::zeros({7}, Dtype::kInt64);
      call(bytes, "generation_run_",
           {now.number, progress, 1 + bytes.below(2), bytes.below(8), int64_t{1000}, false, isa}, false, 1);
      break;
    }
    case 2: {
      const int64_t num = 1 + bytes.below(3);
      const Tensor logits = Tensor::zeros({rows, num, model.vocab_size});
      Tensor tokens = Tensor::zeros({rows, num}, Dtype::kInt32);
      for (int64_t i = 0; i < rows * num; ++i) tokens.data<int32_t>()[i] = static_cast<int32_t>(random.next() % 300);
      call(bytes, "generation_append_",
           {now.number, Tensor::zeros({rows}, Dtype::kInt32), tokens, logits, int64_t{1}, isa}, false, 1);
      break;
    }
    case 3: {
      const std::vector<Value> read = {now.number, Tensor::zeros({groups, rows, 3}, Dtype::kInt64),
                                       Tensor::zeros({groups, rows, fuzz::kMaxLen}, Dtype::kInt32),
                                       Tensor::zeros({groups, rows, fuzz::kMaxLen}),
                                       Tensor::zeros({groups, rows}, Dtype::kFloat64)};
      if (call(bytes, "generation_read_", read, now.has_search && now.is_known, 1).result) claim_read(read, model);
      break;
    }
    case 4:
      call(bytes, "generation_new_tokens_",
           {now.number, bytes.below(groups + 1), bytes.below(12), Tensor::zeros({10}, Dtype::kInt32),
            Tensor::zeros({10})},
           false, 1);
      break;
    case 5:
      call(bytes, "generation_status_", {now.number, bytes.below(groups + 1), Tensor::zeros({3}, Dtype::kInt64)}, false,
           1);
      break;
    case 6: {
      Running& other = running[static_cast<size_t>(bytes.below(static_cast<int64_t>(running.size())))];
      if (const Outcome joined = call(bytes, "generation_join", {now.number, other.number}, false, 0); joined.result) {
        now.num_groups = std::get<int64_t>(joined.result->it);
        now.is_known &= other.is_known;
        other.is_known = false;
      }
      break;
    }
    case 7: {
      Tensor prefix = Tensor::zeros({1 + bytes.below(8)}, Dtype::kInt32);
      prefix.data<int32_t>()[0] = 1;
      for (int64_t i = 1; i < prefix.numel(); ++i)
        prefix.data<int32_t>()[i] = static_cast<int32_t>(random.next() % 300);
      call(bytes, "generation_restart",
           {now.number, bytes.below(groups + 1), prefix, 1 + bytes.below(8), bytes.below(3),
            Tensor::zeros({0}, Dtype::kInt32), bytes.below(3), bytes.below(20)},
           false, 0);
      break;
    }
    default:
      if (call(bytes, "generation_leave", {now.number, bytes.below(groups + 1)}, false, 0).result) --now.num_groups;
  }
}

std::vector<Value> attention_arguments(fuzz::Bytes& bytes, fuzz::SplitMix& random, bool is_backward) {
  const Dtype dtype = bytes.rarely(3) ? Dtype::kBfloat16 : Dtype::kFloat32;
  const int64_t batch = 2, heads = 3, length = 1 + bytes.below(40), dim = 8 * (1 + bytes.below(4));
  const auto big = [&] { return Value(fuzz::floats(random, {batch, heads, length, dim}, dtype)); };
  std::vector<Value> arguments = {big(), big(), big(), big(), Tensor::zeros({batch, heads, length})};
  const auto maybe = [&](std::vector<int64_t> sizes, Dtype type) {
    return Value(Tensor::zeros(bytes.rarely(3) ? std::move(sizes) : std::vector<int64_t>{0}, type));
  };
  if (is_backward) {
    arguments.push_back(big());
    arguments.push_back(maybe({batch, heads, length}, Dtype::kFloat32));
    for (int i = 0; i < 3; ++i) arguments.push_back(big());
  }
  arguments.push_back(maybe({batch, length}, Dtype::kUint8));
  arguments.push_back(maybe({batch}, Dtype::kInt32));
  arguments.push_back(maybe({batch}, Dtype::kInt32));
  const bool is_rotary = bytes.rarely(3);
  for (int i = 0; i < 2; ++i) {
    arguments.emplace_back(is_rotary ? fuzz::floats(random, {length, dim}) : Tensor::zeros({0}));
  }
  const int64_t is_causal = bytes.below(2), window = is_causal && bytes.rarely(3) ? 5 : 0;
  arguments.emplace_back(
      fuzz::list_of<int64_t>({1 + bytes.below(2), is_causal, window, bytes.rarely(3) ? 200 : 0, bytes.next()}));
  arguments.emplace_back(fuzz::list_of<double>({1.0, 1.0, bytes.rarely(3) ? 2.0 : 0.0, 1e-6}));
  arguments.emplace_back(std::string(bytes.rarely(4) ? "amx_emulated" : "generic"));
  return arguments;
}

void train(fuzz::Bytes& bytes, fuzz::SplitMix& random) {
  switch (bytes.below(4)) {
    case 0:
      call(bytes, "native_attention_forward_", attention_arguments(bytes, random, false), true);
      break;
    case 1:
      call(bytes, "native_attention_backward_", attention_arguments(bytes, random, true), true);
      break;
    case 2: {
      const bool is_backward = bytes.rarely(2);
      const Dtype dtype = bytes.rarely(3) ? Dtype::kBfloat16 : Dtype::kFloat32;
      const int64_t rows = bytes.below(6), hidden = bytes.below(40);
      call(bytes, "native_swiglu_",
           {fuzz::floats(random, {rows, 2 * hidden}, dtype),
            is_backward ? fuzz::floats(random, {rows, hidden}, dtype) : Tensor::zeros({0}, dtype),
            Tensor::zeros({rows, is_backward ? 2 * hidden : hidden}, dtype), fuzz::list_of<int64_t>({2}),
            std::string("generic")},
           true);
      break;
    }
    default:
      call(bytes, "native_orthogonalize_",
           {std::vector<Value>{fuzz::floats(random, {5, 7}), fuzz::floats(random, {3, 3}),
                               fuzz::floats(random, {bytes.below(20), 2})},
            fuzz::list_of<int64_t>({1 + bytes.below(2), bytes.below(4)}),
            fuzz::list_of<double>({3.4445, -4.775, 2.0315, 1e-7}), std::string("generic")},
           true);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Bytes bytes(data, size);
  fuzz::SplitMix random{bytes.number(2)};
  if (bytes.rarely(4)) {
    for (int64_t left = 1 + bytes.below(3); left > 0; --left) train(bytes, random);
    return 0;
  }
  const fuzz::Model model = fuzz::any_model(bytes, random);
  if (bytes.rarely(4)) {
    const Tensor packed = Tensor::zeros(model.packed.sizes, Dtype::kUint8);
    call(bytes, "packed_decoder_bytes", {model.shape}, true);
    call(bytes, "pack_decoder_", {packed, model.shape, model.tensors}, true);
    call(bytes, "packed_vocab_size", {model.packed}, true);
  }
  const bool has_grammar = bytes.rarely(2);
  std::vector<Running> running;
  for (int64_t left = 2 + bytes.below(12); left > 0; --left) {
    if (running.empty() || bytes.rarely(4)) {
      if (const auto begun = start(bytes, random, model, has_grammar)) running.push_back(*begun);
    } else {
      go_on(bytes, random, model, running);
    }
  }
  for (const Running& each : running) fuzz::call_op("generation_end", {each.number});
  return 0;
}
