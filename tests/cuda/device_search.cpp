// The search as search_testing.cpp offers it, with each step made by the kernel of kernels/cuda/choose.cu.
#define amt_search_step amt_search_step_on_cpu
#include "../../csrc/engine/search_testing.cpp"
#undef amt_search_step

#include "choose.cu"

namespace {

using amt::engine::Failure;

// One prompt, whose search lies in the memory of the test. False: see cuda_on_cpu_error.
bool step_on_device(TestSearch* search, const float* logits, const float* negative, int64_t stride) {
  amt::engine::Search view = search->view();
  if (view.is_done()) return true;
  const auto num_rows = search->options.num_rows;
  const auto vocab_size = search->options.vocab_size;
  const int64_t scratch_stride = amt::cuda::choose_scratch(vocab_size, num_rows);
  const auto num_positions = static_cast<int32_t>(view.length());
  std::vector<uint8_t> ancestry(static_cast<size_t>(num_rows * search->max_len));
  std::vector<Failure> failures(static_cast<size_t>(num_rows));
  std::vector<float> scratch(static_cast<size_t>(num_rows * scratch_stride) + 16);
  amt::cuda::Prompt prompt{view};
  prompt.ancestry = ancestry.data();
  prompt.num_rows = num_rows;
  prompt.capacity = static_cast<int32_t>(search->max_len);
  amt::cuda::PromptState state{num_positions, 0, 0, 1, 0};
  amt::cuda::Control control{0, 0, 1, 0};
  uint32_t arrivals = 0;
  amt::cuda::Choose call{&prompt,
                         &state,
                         &control,
                         logits,
                         negative,
                         scratch.data(),
                         failures.data(),
                         &arrivals,
                         1,
                         num_rows,
                         vocab_size,
                         static_cast<int32_t>(stride),
                         static_cast<int32_t>(scratch_stride)};
  return amt::cuda::launch_choose(call, nullptr) == 0 && arrivals == 0;
}

}  // namespace

AMT_TESTING int32_t amt_search_step(TestSearch* search, const float* logits, const float* negative, int64_t stride) {
  return guard(search->error, [&] {
    amt::engine::Search view = search->view();
    const int64_t step = view.num_new_tokens();
    if (!step_on_device(search, logits, negative, stride)) throw std::logic_error(cuda_on_cpu_error());
    const Failure failure = view.header().failure;
    view.header().failure = Failure::kNone;
    if (failure != Failure::kNone) view.throw_failure(failure, step);
  });
}

// What the kernel has for log(sum(exp(x))), one lane after the other.
AMT_TESTING float amt_device_log_sum_exp(const float* x, int64_t num) {
  float lanes[amt::cuda::kSumLanes];
  for (int lane = 0; lane < amt::cuda::kSumLanes; ++lane) lanes[lane] = amt::cuda::Block::sum_of_lane(x, num, lane);
  return std::log(amt::cuda::Block::sum_of_lanes(lanes));
}

AMT_TESTING int64_t amt_choose_shared_bytes() { return sizeof(amt::cuda::ChooseShared); }
