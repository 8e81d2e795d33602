// Files that are put into the program as they are, by build rules: AEGIS_EMBED(symbol, "path") at
// namespace scope of one source file, then symbol_begin and symbol_end around the bytes. A byte 0
// follows them.
#pragma once

#define AEGIS_EMBED(symbol, path)         \
  __asm__(                                \
      ".pushsection .rodata\n"            \
      ".balign 16\n" #symbol              \
      "_begin:\n"                         \
      ".incbin \"" path "\"\n" #symbol    \
      "_end:\n"                           \
      ".byte 0\n"                         \
      ".popsection\n");                   \
  extern "C" const char symbol##_begin[]; \
  extern "C" const char symbol##_end[]
