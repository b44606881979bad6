# The Python package, as a component of its own: cmake --install build --component python
# --prefix SITE-PACKAGES/nysjit. A full installation leaves it out; pyproject.toml installs it with
# the other components, and so do its tests.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/python/nysjit/ DESTINATION . COMPONENT python EXCLUDE_FROM_ALL
        FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN "__pycache__" EXCLUDE)
install(TARGETS nysjit_hosts LIBRARY DESTINATION lib COMPONENT python EXCLUDE_FROM_ALL)
