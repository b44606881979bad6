# Without MLIR, the one command that brings all that a build needs: .ci/setup.sh has the list. A
# library without its compiler is built only where that is asked for.
find_package(MLIR 22.1 QUIET CONFIG)
if(NOT MLIR_FOUND)
  file(READ ${CMAKE_SOURCE_DIR}/.ci/setup.sh setup)
  string(REGEX MATCH "nysjit_packages=\\(([^)]*)\\)" packages "${setup}")
  string(REGEX REPLACE "[ \n]+" " " packages "${CMAKE_MATCH_1}")
  message(FATAL_ERROR "nysjit's compiler needs MLIR 22.1, which was not found. On Debian 12:\n"
    "  sudo apt-get update && sudo apt-get install -y --no-install-recommends${packages}\n"
    "-DNYSJIT_BUILD_COMPILER=OFF builds the library alone, which then compiles nothing.")
endif()
