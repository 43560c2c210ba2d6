// The sets of kernels, each defined in its kernels_*.cpp. training_sets.cpp chooses between them.
#pragma once

#include "training_kernels.h"

namespace amt::training {

extern const Kernels kGenericKernels, kAmxEmulatedKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels, kAvx512Kernels, kAvx512Bf16Kernels, kAvx512AmxKernels;
#endif

}  // namespace amt::training
