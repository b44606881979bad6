# The Python package, as a component of its own: cmake --install build --component python
# --prefix SITE-PACKAGES/nysjit. A full installation leaves it out; pyproject.toml installs it with
# the other components, and so do its tests.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/python/nysjit/ DESTINATION . COMPONENT python EXCLUDE_FROM_ALL
        FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN "__pycache__" EXCLUDE)
install(TARGETS nysjit_hosts LIBRARY DESTINATION lib COMPONENT python EXCLUDE_FROM_ALL)

add_custom_target(python_package DEPENDS nysjit nysjit_hosts nysjit_ptx_emulator nysjit_runtime)
if(TARGET nysjit_compiler_static)
  add_dependencies(python_package nysjit_compiler_static)
elseif(TARGET nysjit_compiler)
  add_dependencies(python_package nysjit_compiler)
endif()

# A wheel holds no links: the library is one file, by the name that it is loaded by.
if(SKBUILD)
  set_target_properties(nysjit_runtime PROPERTIES VERSION 0)
endif()
