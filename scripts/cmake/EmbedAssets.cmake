# Run when an asset changes: writes OUTPUT, a C++ source that holds the files of the HTML report as text. Of one kind,
# files follow each other in the order of INPUTS (separated by |); the library comes from VENDOR.
set(page "")
set(style "")
set(script "")
set(library "")
string(REPLACE "|" ";" INPUTS "${INPUTS}")
foreach(input IN LISTS INPUTS VENDOR)
  file(READ "${input}" text)
  if(input STREQUAL VENDOR)
    set(kind library)
  elseif(input MATCHES "\\.js$")
    set(kind script)
  elseif(input MATCHES "\\.css$")
    set(kind style)
  else()
    set(kind page)
  endif()
  string(APPEND ${kind} "${text}")
endforeach()
set(source "// Made by scripts/cmake/EmbedAssets.cmake.\n#include \"reports/html_assets.h\"\n\nnamespace assay {\n\n")
string(APPEND source
  "const std::string_view kHtmlPage = R\"assay_asset(${page})assay_asset\";\n"
  "const std::string_view kHtmlStyle = R\"assay_asset(${style})assay_asset\";\n"
  "const std::string_view kHtmlLibrary = R\"assay_asset(${library})assay_asset\";\n"
  "const std::string_view kHtmlScript = R\"assay_asset(${script})assay_asset\";\n"
  "\n}  // namespace assay\n")
file(WRITE "${OUTPUT}" "${source}")
