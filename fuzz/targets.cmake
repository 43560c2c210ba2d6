# The fuzz targets: with clang they are libFuzzer's, with gcc they only replay files. Included where AMT_FUZZ is on; the
# libraries that they link have the same sanitizers then.
foreach(name smf tokens grammar search)
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
