// The kernels of a step, started as one. They are captured in a CUDA graph, in one of two ways:
// - a loop: a WHILE node repeats the step until go_on.cu ends it, and the CPU starts all steps at once;
// - replays: the CPU starts the graph once a step. For drivers that have no such nodes (before CUDA 12.4).
// In the tests the kernels are just called, and the condition of a loop is a number (cuda_on_cpu.h).
#pragma once

#include <cstdint>
#include <exception>
#include <functional>

#include "go_on.h"
#include "memory.h"

namespace amt::cuda {

using Launches = std::function<void()>;
using LaunchesOfLoop = std::function<void(cudaGraphConditionalHandle)>;

#ifdef __CUDACC__

// What was captured, to be started again and again.
class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() {
    if (ready_ != nullptr) cudaGraphExecDestroy(ready_);
  }

  void capture(const Stream& stream, const Launches& launch) {
    auto* own = static_cast<cudaStream_t>(stream.get());
    cudaGraph_t captured = nullptr;
    check_device(cudaStreamBeginCapture(own, cudaStreamCaptureModeThreadLocal), "capturing a step");
    launch();
    check_device(cudaStreamEndCapture(own, &captured), "capturing a step");
    const cudaError_t error = cudaGraphInstantiate(&ready_, captured, 0);
    cudaGraphDestroy(captured);
    check_device(error, "the graph of a step");
  }

  // A WHILE node, whose condition is true when it is started. False: this driver has none, or cannot make this one.
  bool capture_loop(const Stream& stream, const LaunchesOfLoop& launch) {
    cudaGraph_t graph = nullptr;
    bool is_made = cudaGraphCreate(&graph, 0) == cudaSuccess;
    if (is_made) {
      is_made = fill_loop(graph, static_cast<cudaStream_t>(stream.get()), launch) &&
                cudaGraphInstantiate(&ready_, graph, 0) == cudaSuccess;
      cudaGraphDestroy(graph);
    }
    if (!is_made) {
      cudaGetLastError();  // what went wrong is no error: there is the other way
      ready_ = nullptr;
    }
    return is_made;
  }

  void start(const Stream& stream) const {
    check_device(cudaGraphLaunch(ready_, static_cast<cudaStream_t>(stream.get())), "a step");
  }

 private:
  static bool fill_loop(cudaGraph_t graph, cudaStream_t stream, const LaunchesOfLoop& launch) {
    cudaGraphNodeParams loop{};
    loop.type = cudaGraphNodeTypeConditional;
    loop.conditional.type = cudaGraphCondTypeWhile;
    loop.conditional.size = 1;
    cudaGraphConditionalHandle& condition = loop.conditional.handle;
    cudaGraphNode_t node = nullptr;
    if (cudaGraphConditionalHandleCreate(&condition, graph, 1, cudaGraphCondAssignDefault) != cudaSuccess) return false;
#if CUDART_VERSION >= 13000
    if (cudaGraphAddNode(&node, graph, nullptr, nullptr, 0, &loop) != cudaSuccess) return false;
#else
    if (cudaGraphAddNode(&node, graph, nullptr, 0, &loop) != cudaSuccess) return false;
#endif
    cudaGraph_t body = loop.conditional.phGraph_out[0];
    const auto mode = cudaStreamCaptureModeThreadLocal;
    if (cudaStreamBeginCaptureToGraph(stream, body, nullptr, nullptr, 0, mode) != cudaSuccess) return false;
    bool is_whole = true;
    try {
      launch(condition);
    } catch (const std::exception&) {  // a kernel that this driver cannot load; if it is another, replays tell of it
      is_whole = false;
    }
    return cudaStreamEndCapture(stream, &body) == cudaSuccess && is_whole;
  }

  cudaGraphExec_t ready_ = nullptr;
};

#else

class Graph {
 public:
  void capture(const Stream&, const Launches& launch) { start_ = launch; }
  bool capture_loop(const Stream&, const LaunchesOfLoop& launch) {
    if (!cuda_on_cpu::has_loops()) return false;
    start_ = [launch] {
      unsigned condition = 1;
      while (condition != 0) launch(reinterpret_cast<cudaGraphConditionalHandle>(&condition));
    };
    return true;
  }
  void start(const Stream&) const { start_(); }

 private:
  Launches start_;
};

#endif

// Whether this GPU's driver runs loops: tried with one that ends at once.
inline bool can_loop(const Stream& stream) {
  DeviceBlock block;
  const int64_t place = block.take(1, sizeof(Control));
  block.make("use device='cpu'");
  auto* control = reinterpret_cast<Control*>(block.at(place));
  stream.zero(control, sizeof(Control));
  Graph graph;
  const auto launch = [&](cudaGraphConditionalHandle condition) {
    check_device(launch_go_on({control, condition}, stream.get()), "the end of a loop");
  };
  if (!graph.capture_loop(stream, launch)) return false;
  try {
    graph.start(stream);
    stream.wait();
  } catch (const DeviceError&) {
    return false;  // if more is wrong than this, the next call says so
  }
  return true;
}

class StepGraph {
 public:
  // Captures the step. control: of the GPU; may_loop: else it is replayed.
  void capture(const Stream& stream, const Launches& step, Control* control, bool may_loop) {
    control_ = control;
    const auto repeated = [step, control, &stream](cudaGraphConditionalHandle condition) {
      step();
      check_device(launch_go_on({control, condition}, stream.get()), "the end of a step");
    };
    is_loop_ = may_loop && graph_.capture_loop(stream, repeated);
    if (!is_loop_) graph_.capture(stream, step);
    is_captured_ = true;
  }
  bool is_captured() const { return is_captured_; }
  bool is_loop() const { return is_loop_; }

  // At most so many steps; a loop ends when nothing is left to do.
  void run(const Stream& stream, int64_t num_steps) const {
    if (is_loop_) {
      stream.to_device(&control_->steps_left, &num_steps, sizeof(num_steps));
      return graph_.start(stream);
    }
    for (int64_t index = 0; index < num_steps; ++index) graph_.start(stream);
  }

 private:
  Graph graph_;
  Control* control_ = nullptr;
  bool is_captured_ = false, is_loop_ = false;
};

}  // namespace amt::cuda
