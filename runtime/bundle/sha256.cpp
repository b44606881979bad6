// By Mbed TLS.
#include "runtime/bundle/sha256.h"

#include <mbedtls/sha256.h>

namespace nysjit {

std::string sha256Hex(std::string_view bytes) {
  unsigned char digest[32] = {};
  // It fails only where hardware computes it, and there is none of that here.
  (void)mbedtls_sha256_ret(reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size(),
                           digest, /*is224=*/0);
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

} // namespace nysjit
