# cpack: three Debian packages, nysjit-runtime, nysjit-compiler and nysjit-dev, of the components
# that install.cmake lists.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "the nysjit maintainers <nysjit@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL ${components})
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
  GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# The runtime and the worker speak of one version.
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME nysjit-runtime)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
file(WRITE ${CMAKE_BINARY_DIR}/shlibs "libnysjit 0 nysjit-runtime (>= ${PROJECT_VERSION})\n")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${CMAKE_BINARY_DIR}/shlibs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_RECOMMENDS nysjit-compiler)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_BREAKS
    "nysjit-compiler (<< ${PROJECT_VERSION}), nysjit-compiler (>> ${PROJECT_VERSION})")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "causal Nystrom attention: the library and the command
Finds compiled attention programs in its cache and runs them on the CPU, on NVIDIA GPUs or on an
emulator of PTX. What is not in the cache takes nysjit-compiler.")

set(CPACK_DEBIAN_COMPILER_PACKAGE_NAME nysjit-compiler)
set(CPACK_DEBIAN_COMPILER_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_COMPILER_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_COMPILER_DESCRIPTION "causal Nystrom attention: the compiler
A program that nysjit's library starts when it is asked for attention that was not compiled yet.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME nysjit-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "nysjit-runtime (= ${PROJECT_VERSION})")
set(CPACK_COMPONENT_DEV_DESCRIPTION "causal Nystrom attention: headers for C and C++
What programs that use nysjit's library are built with, by find_package or pkg-config.")
include(CPack)
