// Which sets of kernels this processor runs.
#include "training_sets.h"

#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace amt::training {
namespace {

#if defined(__x86_64__) && !defined(AMT_ONLY_GENERIC_KERNELS)
// The processor has the tiles, and the system lets this process use them, which it must be asked for.
bool may_use_amx() {
#if defined(__linux__)
  constexpr unsigned kBfloat16 = 1u << 22, kTiles = 1u << 24;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kBfloat16) == 0 || (edx & kTiles) == 0) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // of asm/prctl.h, and of the state's components
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

// __builtin_cpu_supports asks the operating system, too, whether it keeps the wide registers.
std::vector<const Kernels*> find_sets() {
  std::vector<const Kernels*> sets = {&kGenericKernels};
#if defined(__x86_64__) && !defined(AMT_ONLY_GENERIC_KERNELS)  // fuzz/targets.cmake
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&kAvx2Kernels);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    sets.push_back(&kAvx512Kernels);
    if (__builtin_cpu_supports("avx512bf16")) {
      sets.push_back(&kAvx512Bf16Kernels);
      if (may_use_amx()) sets.push_back(&kAvx512AmxKernels);
    }
  }
#endif
  return sets;
}

const std::vector<const Kernels*>& sets() {
  static const std::vector<const Kernels*> found = find_sets();
  return found;
}

}  // namespace

int64_t num_kernel_sets() { return static_cast<int64_t>(sets().size()); }

const Kernels& kernel_set(int64_t index) { return *sets().at(static_cast<size_t>(index)); }

const Kernels& find_kernels(const char* name) {
  if (std::strcmp(kAmxEmulatedKernels.name, name) == 0) return kAmxEmulatedKernels;
  std::string names;
  for (const Kernels* set : sets()) {
    if (std::strcmp(set->name, name) == 0) return *set;
    names += names.empty() ? set->name : std::string(", ") + set->name;
  }
  throw std::invalid_argument("this processor has the attention kernels " + names + "; got \"" + name + "\"");
}

}  // namespace amt::training
