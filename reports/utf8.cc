#include "reports/utf8.h"

#include <cstdint>

namespace assay {
namespace {

// Bytes of the character that begins the text, by its first byte; 0: none begins so.
std::size_t length_of(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  if (first >= 0xf0 && first < 0xf5) return 4;
  return 0;
}

// The character that begins the text, or 0 where it is none that XML can hold.
std::uint32_t decode(std::string_view text, std::size_t length) {
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // by length: nothing overlong
  if (length == 0 || text.size() < length) return 0;
  const auto first = static_cast<unsigned char>(text[0]);
  std::uint32_t character = length == 1 ? first : first & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80) return 0;
    character = character << 6 | (byte & 0x3f);
  }
  const bool held = character == '\t' || character == '\n' || character == '\r' ||
                    (character >= 0x20 && character < 0xd800) ||
                    (character >= 0xe000 && character < 0xfffe) ||
                    (character >= 0x10000 && character <= 0x10ffff);
  return held && character >= kLeast[length] ? character : 0;
}

}  // namespace

std::string xml_text(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t length = length_of(static_cast<unsigned char>(text[0]));
    const bool good = decode(text, length) != 0;
    result += good ? text.substr(0, length) : "\xef\xbf\xbd";
    text.remove_prefix(good ? length : 1);
  }
  return result;
}

}  // namespace assay
