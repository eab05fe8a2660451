# The fuzz target needs clang, whatever compiler builds the rest: it is compiled directly from base and wal, with its
# own sanitizers. Where clang or its fuzzer runtime is missing, the mutation test of unit_wal stands in for it;
# WALBACK_FUZZ=ON refuses to do without.
find_program(FUZZ_CXX NAMES clang++ clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14)
set(FUZZ_FLAGS -std=c++20 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all)
if(FUZZ_CXX AND NOT DEFINED FUZZ_WORKS)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/fuzz_probe.cpp
    "#include <cstddef>\nextern \"C\" int LLVMFuzzerTestOneInput(const unsigned char*, std::size_t) { return 0; }\n")
  execute_process(COMMAND ${FUZZ_CXX} ${FUZZ_FLAGS} fuzz_probe.cpp -o fuzz_probe
    WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR} RESULT_VARIABLE fuzz_failed OUTPUT_QUIET ERROR_QUIET)
  if(fuzz_failed EQUAL 0)
    set(FUZZ_WORKS ON CACHE INTERNAL "clang can build and link a fuzz target")
  else()
    set(FUZZ_WORKS OFF CACHE INTERNAL "clang can build and link a fuzz target")
  endif()
endif()
if(WALBACK_FUZZ AND NOT FUZZ_WORKS)
  message(FATAL_ERROR "WALBACK_FUZZ is on and no clang with libFuzzer was found")
elseif(NOT FUZZ_WORKS)
  message(STATUS "no clang with libFuzzer: fuzz_record_reader is left out")
  return()
endif()

file(GLOB fuzzed CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/base/*.cpp ${CMAKE_SOURCE_DIR}/src/wal/*.cpp
  ${CMAKE_SOURCE_DIR}/src/base/*.h ${CMAKE_SOURCE_DIR}/src/wal/*.h)
set(fuzzed_sources ${fuzzed})
list(FILTER fuzzed_sources INCLUDE REGEX "\\.cpp$")
set(fuzz_target ${CMAKE_CURRENT_BINARY_DIR}/record_reader_fuzz)
add_custom_command(OUTPUT ${fuzz_target}
  COMMAND ${FUZZ_CXX} ${FUZZ_FLAGS} -I ${CMAKE_SOURCE_DIR}/src -I ${CMAKE_SOURCE_DIR}/tests
          ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/record_reader_fuzz.cpp ${fuzzed_sources} -lfmt -o ${fuzz_target}
  DEPENDS ${fuzzed} fuzz/record_reader_fuzz.cpp fuzz/read_anything.h
  COMMENT "building record_reader_fuzz with clang" VERBATIM)
add_custom_target(fuzz_targets ALL DEPENDS ${fuzz_target})

add_executable(write_fuzz_seeds fuzz/write_seeds.cpp)
target_link_libraries(write_fuzz_seeds PRIVATE test_support)
set(fuzz_corpus ${CMAKE_CURRENT_BINARY_DIR}/fuzz_corpus)
file(MAKE_DIRECTORY ${fuzz_corpus})
add_test(NAME fuzz_seeds COMMAND write_fuzz_seeds ${fuzz_corpus})
add_test(NAME fuzz_record_reader
  COMMAND ${fuzz_target} -max_total_time=20 -max_len=49152 -rss_limit_mb=1024 -timeout=10 -print_final_stats=1
          -artifact_prefix=${CMAKE_CURRENT_BINARY_DIR}/ ${fuzz_corpus})
set_tests_properties(fuzz_seeds PROPERTIES LABELS fuzz FIXTURES_SETUP fuzz_corpus)
set_tests_properties(fuzz_record_reader PROPERTIES LABELS fuzz TIMEOUT 120 FIXTURES_REQUIRED fuzz_corpus)
