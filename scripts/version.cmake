# Writes OUTPUT with the version and the commit of SOURCE, touching it only when they changed.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT
"#pragma once
#define WALBACK_VERSION \"@VERSION@\"
#define WALBACK_COMMIT \"@commit@\"
" @ONLY)
