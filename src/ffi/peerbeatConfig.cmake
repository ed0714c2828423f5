# find_package(peerbeat CONFIG) gives the target peerbeat::peerbeat.
#
# Installed as LIB/cmake/peerbeat/peerbeatConfig.cmake, or used where it lies, in src/ffi, with the
# library that `cargo rustc --release --lib --features capi --crate-type staticlib` made. Set
# peerbeat_LIBRARY for another one, such as the shared library.
if(TARGET peerbeat::peerbeat)
  return()
endif()

get_filename_component(_peerbeat_installed "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
if(NOT peerbeat_LIBRARY)
  find_library(peerbeat_LIBRARY
    NAMES libpeerbeat.a peerbeat
    HINTS "${_peerbeat_installed}" "${_peerbeat_installed}/target/release"
    NO_DEFAULT_PATH)
endif()
find_path(peerbeat_INCLUDE_DIR
  NAMES peerbeat.h
  HINTS "${CMAKE_CURRENT_LIST_DIR}" "${_peerbeat_installed}/../include"
  NO_DEFAULT_PATH)

include(CMakeFindDependencyMacro)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(peerbeat REQUIRED_VARS peerbeat_LIBRARY peerbeat_INCLUDE_DIR)
if(peerbeat_FOUND)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_dependency(Threads)
  add_library(peerbeat::peerbeat UNKNOWN IMPORTED)
  set_target_properties(peerbeat::peerbeat PROPERTIES
    IMPORTED_LOCATION "${peerbeat_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${peerbeat_INCLUDE_DIR}")
  if(WIN32)
    set(_peerbeat_system ws2_32 userenv ntdll bcrypt advapi32)
  elseif(APPLE)
    set(_peerbeat_system m -Wl,-dead_strip)
  else()
    set(_peerbeat_system ${CMAKE_DL_LIBS} m -Wl,--gc-sections)
  endif()
  set_property(TARGET peerbeat::peerbeat PROPERTY
    INTERFACE_LINK_LIBRARIES Threads::Threads ${_peerbeat_system})
endif()
