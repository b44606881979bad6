# cmake --install, by components:
#   runtime    libnysjit.so.0, the PTX emulator, the command
#   compiler   the compiler worker, where the runtime finds it
#   dev        headers, libnysjit.so, find_package(nysjit), pkg-config
# No file names a folder of this machine: the prefix may be moved.
include(CMakePackageConfigHelpers)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON) # the tests need not be built
set(folder_of_config ${CMAKE_INSTALL_LIBDIR}/cmake/nysjit)

install(TARGETS nysjit_runtime EXPORT nysjit
        LIBRARY COMPONENT runtime NAMELINK_COMPONENT dev
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS nysjit_ptx_emulator LIBRARY COMPONENT runtime)
install(TARGETS nysjit RUNTIME COMPONENT runtime)

if(NYSJIT_BUILD_COMPILER)
  set(worker nysjit_compiler)
  if(NYSJIT_STATIC_WORKER)
    set(worker nysjit_compiler_static)
  endif()
  # LLVM's shared libraries lie where the loader does not look by itself.
  set_target_properties(nysjit_compiler PROPERTIES INSTALL_RPATH ${LLVM_LIBRARY_DIR})
  install(TARGETS ${worker} RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR} COMPONENT compiler)
endif()

# DLPack's header lies in a folder of its own: /usr/include/dlpack is another package's.
install(FILES ${CMAKE_SOURCE_DIR}/runtime/include/nysjit.h
              ${CMAKE_SOURCE_DIR}/runtime/include/nysjit_calibrate.h
              ${CMAKE_SOURCE_DIR}/runtime/include/nysjit.hpp
        TYPE INCLUDE COMPONENT dev)
install(FILES ${NYSJIT_DLPACK_INCLUDE}/dlpack/dlpack.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nysjit COMPONENT dev)

set_target_properties(nysjit_runtime PROPERTIES EXPORT_NAME nysjit)
install(EXPORT nysjit FILE nysjitConfig.cmake NAMESPACE nysjit::
        DESTINATION ${folder_of_config} COMPONENT dev)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/nysjitConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/nysjitConfigVersion.cmake DESTINATION ${folder_of_config}
        COMPONENT dev)

file(RELATIVE_PATH way_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" way_to_prefix ${way_to_prefix})
configure_file(${CMAKE_SOURCE_DIR}/cmake/nysjit.pc.in ${CMAKE_BINARY_DIR}/nysjit.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/nysjit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT dev)

set(components runtime dev)
if(NYSJIT_BUILD_COMPILER)
  list(APPEND components compiler)
endif()
foreach(component IN LISTS components)
  install(FILES ${CMAKE_SOURCE_DIR}/cmake/copyright ${CMAKE_SOURCE_DIR}/LICENSE
          DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/nysjit-${component} COMPONENT ${component})
endforeach()
