// The sets of kernels, each defined in its kernels_*.cpp. kernels.cpp chooses between them.
#pragma once

#include "kernels.h"

namespace amt::engine {

extern const Kernels kGenericKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels, kAvx2VnniKernels, kAvx512Kernels, kAvx512VnniKernels;
#elif defined(__aarch64__)
extern const Kernels kNeonKernels, kNeonDotKernels;
#endif

}  // namespace amt::engine
