// The kernels of a step, started as one: captured in a CUDA graph when they first run, then replayed. In the tests they
// are just called.
#pragma once

#include <functional>

#include "memory.h"

namespace amt::cuda {

#ifdef __CUDACC__

class StepGraph {
 public:
  StepGraph() = default;
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;
  ~StepGraph() {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  }

  void run(const Stream& stream, const std::function<void()>& step) {
    auto* own = static_cast<cudaStream_t>(stream.get());
    if (graph_ == nullptr) {
      cudaGraph_t captured = nullptr;
      check_device(cudaStreamBeginCapture(own, cudaStreamCaptureModeThreadLocal), "capturing a step");
      step();
      check_device(cudaStreamEndCapture(own, &captured), "capturing a step");
      const cudaError_t error = cudaGraphInstantiate(&graph_, captured, 0);
      cudaGraphDestroy(captured);
      check_device(error, "the graph of a step");
    }
    check_device(cudaGraphLaunch(graph_, own), "a step");
  }

 private:
  cudaGraphExec_t graph_ = nullptr;
};

#else

class StepGraph {
 public:
  void run(const Stream&, const std::function<void()>& step) { step(); }
};

#endif

}  // namespace amt::cuda
