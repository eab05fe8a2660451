cmake_minimum_required(VERSION 3.22)
# Writes OUTPUT with the version and the commit of SOURCE, touching it only when they changed. The checkout may be
# another user's (sudo): git would refuse to read it, and the commit would be unknown.
execute_process(COMMAND git -c safe.directory=* -C ${SOURCE} describe --always --dirty --abbrev=12
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT
"#pragma once
#define WALBACK_VERSION \"@VERSION@\"
#define WALBACK_COMMIT \"@commit@\"
" @ONLY)
