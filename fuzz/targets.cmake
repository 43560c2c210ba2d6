# The fuzz targets: with clang they are libFuzzer's, with gcc they only replay files. Included where AMT_FUZZ is on; the
# libraries that they link have the same sanitizers then.
# The ops and what they call, with the kernels that need no instruction set: the others take minutes to compile so, and
# tests/sanitize.sh has them.
add_library(amt_ops_without_torch STATIC
  csrc/engine/decoder.cpp
  csrc/engine/generation.cpp
  csrc/engine/kernels.cpp
  csrc/engine/kernels_generic.cpp
  csrc/engine/packed_decoder.cpp
  csrc/training/attention.cpp
  csrc/training/kernels_amx_emulated.cpp
  csrc/training/kernels_generic.cpp
  csrc/training/newton_schulz.cpp
  csrc/training/swiglu.cpp
  csrc/training/training_sets.cpp
  fuzz/small_torch.cpp
)
target_include_directories(amt_ops_without_torch PUBLIC csrc/engine csrc/midi csrc/training csrc/torch fuzz)
target_compile_definitions(amt_ops_without_torch PRIVATE AMT_ONLY_GENERIC_KERNELS)
target_compile_options(amt_ops_without_torch PRIVATE -ffp-contract=off -fno-math-errno)
target_link_libraries(amt_ops_without_torch PUBLIC amt_search)
# Objects, since nothing but their registration says that they are wanted.
add_library(amt_ops OBJECT csrc/torch/ops.cpp csrc/torch/training_ops.cpp)
target_link_libraries(amt_ops PUBLIC amt_ops_without_torch)

foreach(name smf tokens grammar search ops)
  add_executable(fuzz_${name} fuzz/fuzz_${name}.cpp)
  target_include_directories(fuzz_${name} PRIVATE fuzz csrc/midi csrc/engine)
  target_link_libraries(fuzz_${name} PRIVATE amt_search)
  target_compile_options(fuzz_${name} PRIVATE -Wall -Wextra -Wshadow)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE fuzz/replay.cpp)
  endif()
endforeach()
target_link_libraries(fuzz_ops PRIVATE amt_ops)

# For ThreadSanitizer.
add_executable(threads fuzz/threads.cpp)
target_include_directories(threads PRIVATE fuzz csrc/midi csrc/engine)
target_compile_options(threads PRIVATE -Wall -Wextra -Wshadow)
target_link_libraries(threads PRIVATE amt_ops)
