# Run at every build: writes OUTPUT with the commit that is being built and how, and leaves it alone where nothing changed.
find_package(Git QUIET)
set(commit "unknown")
if(Git_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} describe --always --dirty --abbrev=12 --exclude=*
                  WORKING_DIRECTORY ${SOURCE_DIR} OUTPUT_VARIABLE described RESULT_VARIABLE failed
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT failed)
    set(commit ${described})
  endif()
endif()
set(text "#pragma once
#define ASSAY_BUILD_VERSION \"${VERSION}\"
#define ASSAY_BUILD_COMMIT \"${commit}\"
#define ASSAY_BUILD_COMPILER \"${COMPILER}\"
#define ASSAY_BUILD_FLAGS \"${FLAGS}\"
#define ASSAY_BUILD_CUDA \"${CUDA}\"
")
set(old "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT text STREQUAL old)
  file(WRITE ${OUTPUT} "${text}")
endif()
