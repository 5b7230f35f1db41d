// HMAC-SHA256 (FIPS 180-4, RFC 2104) behind the two names of mbedTLS that the firmware calls, for its code on this machine.
#include <cstdint>
#include <cstring>
#include <string>

#define MBEDTLS_MD_SHA256 0

static inline int mbedtls_md_info_from_type(int type) { return type; }

static inline uint32_t rotated(uint32_t word, int by) { return (word >> by) | (word << (32 - by)); }

static std::string sha256(std::string text) {
  static const uint32_t k[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
      0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
      0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
      0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
      0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
      0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const uint64_t bits = text.size() * 8;
  text.push_back((char) 0x80);
  while (text.size() % 64 != 56) text.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8) text.push_back((char) (bits >> shift));
  for (size_t at = 0; at < text.size(); at += 64) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 64; i++) {
      const uint8_t *from = (const uint8_t *) text.data() + at + 4 * i;
      w[i] = i < 16 ? (uint32_t) from[0] << 24 | from[1] << 16 | from[2] << 8 | from[3]
                    : w[i - 16] + w[i - 7] + (rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ (w[i - 15] >> 3)) +
                          (rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ (w[i - 2] >> 10));
    }
    memcpy(v, state, sizeof(v));
    for (int i = 0; i < 64; i++) {
      const uint32_t one = v[7] + (rotated(v[4], 6) ^ rotated(v[4], 11) ^ rotated(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
      const uint32_t two = (rotated(v[0], 2) ^ rotated(v[0], 13) ^ rotated(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
      memmove(v + 1, v, 7 * sizeof(*v));
      v[4] += one;
      v[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
  }
  std::string digest;
  for (uint32_t word : state)
    for (int shift = 24; shift >= 0; shift -= 8) digest.push_back((char) (word >> shift));
  return digest;
}

static inline int mbedtls_md_hmac(int, const uint8_t *key, size_t key_size, const uint8_t *text, size_t size, uint8_t *mac) {
  std::string inner((const char *) key, key_size), outer;
  if (inner.size() > 64) inner = sha256(inner);
  inner.resize(64, 0);
  outer = inner;
  for (char &each : inner) each ^= 0x36;
  for (char &each : outer) each ^= 0x5c;
  const std::string digest = sha256(outer + sha256(inner + std::string((const char *) text, size)));
  memcpy(mac, digest.data(), 32);
  return 0;
}
