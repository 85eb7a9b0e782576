// Tensor cores: where the elements of fragments are, and how products are added.
#include "kernels/device/mma.h"
#include "kernels/device/vector.h"
#include "kernels/selftest/check.h"

namespace assay::ASSAY_TWIN::selftest {

namespace {

constexpr int kWarps = 4, kThreads = kWarps * kWarpSize;
constexpr int kM = 16, kN = 8, kK = 16;
// Of a warp: A (16 x 16), B (16 x 8) and C (16 x 8), row-major, an element a word, as floats.
constexpr int kA = kM * kK, kB = kK * kN, kC = kM * kN;
constexpr std::size_t kIn = kA + kB + kC;

ASSAY_DEVICE std::uint32_t pair(const Word* first, int stride) {
  return pack(narrow<bf16>(as_float(first[0])), narrow<bf16>(as_float(first[stride])));
}

// C + 3 A B, by three products into the same accumulators, with fragments as PTX ISA lays them out.
ASSAY_DEVICE void multiply(const Word* in, Word* out, int products) {
  const Word* a = in + static_cast<std::size_t>(warp_index()) * kIn;
  const Word* b = a + kA;
  const Word* from = b + kB;
  Word* to = out + warp_index() * kC;
  const int g = lane_index() / 4, t = lane_index() % 4;
  std::uint32_t fragment_a[4], fragment_b[2];
  float c[4];
  for (int i = 0; i < 4; ++i) {
    fragment_a[i] = pair(a + (g + i % 2 * 8) * kK + 2 * t + i / 2 * 8, 1);
    c[i] = as_float(from[(g + i / 2 * 8) * kN + 2 * t + i % 2]);
  }
  for (int i = 0; i < 2; ++i) fragment_b[i] = pair(b + (2 * t + i * 8) * kN + g, kN);
  for (int i = 0; i < products; ++i) mma_m16n8k16(c, fragment_a, fragment_b);
  for (int i = 0; i < 4; ++i) to[(g + i / 2 * 8) * kN + 2 * t + i % 2] = as_bits(c[i]);
}

// C + products * A B in double, with the scale |C| + products * |A| |B| or none.
void expect_product(const Words& in, Expectation& want, int products, bool exact) {
  for (std::size_t warp = 0; warp < kWarps; ++warp) {
    const Word* a = in.data() + warp * kIn;
    const Word* b = a + kA;
    const Word* c = b + kB;
    for (std::size_t i = 0; i < kM; ++i) {
      for (std::size_t j = 0; j < kN; ++j) {
        double sum = number(c[i * kN + j]), scale = std::abs(sum);
        for (std::size_t k = 0; k < kK; ++k) {
          const double product = static_cast<double>(number(a[i * kK + k])) * number(b[k * kN + j]);
          sum += products * product;
          scale += products * std::abs(product);
        }
        want.number(warp * kC + i * kN + j, sum, exact ? 0 : scale);
      }
    }
  }
}

}  // namespace

// Integers whose sums stay below 2^24: exact, however they are added.
ASSAY_KERNEL(kThreads) void mma_integers(const Word* in, Word* out) { multiply(in, out, 3); }
ASSAY_CHECK(mma_integers){
    .name = "mma/integers",
    .covers = {"mma_m16n8k16"},
    .arch = {80, 0},
    .kernel = mma_integers,
    .threads = kThreads,
    .inputs = kWarps * kIn,
    .outputs = std::size_t{kWarps} * kC,
    .prepare =
        [](Words& in) {
          for (Word& w : in) w = bits_of(small_integer(w, 255));
        },
    .expect = [](const Words& in, Expectation& want) { expect_product(in, want, 3, true); }};

// The same, once, as the sum of its left and right halves.
ASSAY_KERNEL(kThreads) void mma_halves(const Word* in, Word* out) {
  const Word* a = in + static_cast<std::size_t>(warp_index()) * kIn;
  const Word* b = a + kA;
  const Word* from = b + kB;
  Word* to = out + warp_index() * kC;
  const int g = lane_index() / 4, t = lane_index() % 4;
  float c[4];
  for (int i = 0; i < 4; ++i) c[i] = as_float(from[(g + i / 2 * 8) * kN + 2 * t + i % 2]);
  for (int k = 0; k < kK; k += 8) {
    const std::uint32_t halves[2] = {pair(a + g * kK + k + 2 * t, 1),
                                     pair(a + (g + 8) * kK + k + 2 * t, 1)};
    mma_m16n8k8(c, halves, pair(b + (k + 2 * t) * kN + g, kN));
  }
  for (int i = 0; i < 4; ++i) to[(g + i / 2 * 8) * kN + 2 * t + i % 2] = as_bits(c[i]);
}
ASSAY_CHECK(mma_halves){
    .name = "mma/halves",
    .covers = {"mma_m16n8k8"},
    .arch = {80, 0},
    .kernel = mma_halves,
    .threads = kThreads,
    .inputs = kWarps * kIn,
    .outputs = std::size_t{kWarps} * kC,
    .prepare =
        [](Words& in) {
          for (Word& w : in) w = bits_of(small_integer(w, 255));
        },
    .expect = [](const Words& in, Expectation& want) { expect_product(in, want, 1, true); }};

// Any bf16 and fp32 of magnitudes 2^-9 to 2^9. A step adds 9 numbers at once: each is cut off below
// a 24th bit that the largest (at most the scale) defines, 2^-23 of the scale at most, and so is
// the sum. A product takes 2 steps.
ASSAY_KERNEL(kThreads) void mma_bf16(const Word* in, Word* out) { multiply(in, out, 1); }
ASSAY_CHECK(mma_bf16){
    .name = "mma/bf16",
    .covers = {"mma_m16n8k16"},
    .arch = {80, 0},
    .kernel = mma_bf16,
    .threads = kThreads,
    .inputs = kWarps * kIn,
    .outputs = std::size_t{kWarps} * kC,
    .bound = 2 * 10 * 0x1p-23,
    .unit = "|C| + |A| |B|",
    .prepare =
        [](Words& in) {
          for (std::size_t i = 0; i < in.size(); ++i) {
            const Word fraction = i % kIn < kA + kB ? 0x007f0000u : 0x007fffffu;  // C is fp32
            const Word exponent = 118 + (in[i] >> 24) % 18;
            in[i] = (in[i] & 0x80000000u) | exponent << 23 | (in[i] & fraction);
          }
        },
    .expect = [](const Words& in, Expectation& want) { expect_product(in, want, 1, false); }};

// Matrices of 16-bit elements in rows of 24, from rows in an order of their own.
namespace {
constexpr int kPitch = 24;
constexpr int kRows = 32;
}  // namespace
ASSAY_KERNEL(kWarpSize) void matrix_loads(const Word* in, Word* out) {
  ASSAY_SHARED(tile, [kRows * kPitch / 8], Vector);
  auto* elements = reinterpret_cast<std::uint16_t*>(&tile[0]);
  for (int i = lane_index(); i < kRows * kPitch; i += kWarpSize) {
    elements[i] = static_cast<std::uint16_t>(in[i]);
  }
  sync_warp();
  // Matrix i: rows 8 (i % 2) to 8 (i % 2) + 7, columns 8 (i / 2) to 8 (i / 2) + 7 of A.
  const int i = lane_index() / 8, r = lane_index() % 8;
  const std::uint16_t* row = elements + (r + i % 2 * 8) * kPitch + i / 2 * 8;
  std::uint32_t plain[4], transposed[4], shuffled[4];
  ldmatrix_x4(plain, row);
  ldmatrix_x4_transposed(transposed, row);
  ldmatrix_x4(shuffled, elements + (lane_index() * 11 + 5) % kRows * kPitch + 16);
  for (int n = 0; n < 4; ++n) {
    out[n * kWarpSize + lane_index()] = plain[n];
    out[(4 + n) * kWarpSize + lane_index()] = transposed[n];
    out[(8 + n) * kWarpSize + lane_index()] = shuffled[n];
  }
}
ASSAY_CHECK(matrix_loads){
    .name = "mma/ldmatrix",
    .covers = {"ldmatrix_x4", "ldmatrix_x4_transposed"},
    .arch = {80, 0},
    .kernel = matrix_loads,
    .inputs = std::size_t{kRows} * kPitch,
    .outputs = std::size_t{12} * kWarpSize,
    .expect = [](const Words& in, Expectation& want) {
      for (std::size_t lane = 0; lane < 32; ++lane) {
        const std::size_t g = lane / 4, t = lane % 4;
        for (std::size_t n = 0; n < 4; ++n) {
          const auto element = [&](std::size_t r, std::size_t column) {
            return in[(r + n % 2 * 8) * kPitch + n / 2 * 8 + column] & 0xffffu;
          };
          want.bits(n * 32 + lane, element(g, 2 * t) | element(g, 2 * t + 1) << 16);
          want.bits((4 + n) * 32 + lane, element(2 * t, g) | element(2 * t + 1, g) << 16);
          const std::size_t row = ((8 * n + g) * 11 + 5) % kRows * kPitch + 16 + 2 * t;
          want.bits((8 + n) * 32 + lane, (in[row] & 0xffffu) | in[row + 1] << 16);
        }
      }
    }};

// Two matrices to rows in an order of their own, beside rows that are left alone.
namespace {
constexpr int kStoredRows = 24, kStoredPitch = 24;
constexpr std::size_t kStoredWords = std::size_t{kStoredRows} * kStoredPitch / 2;
}  // namespace
ASSAY_KERNEL(kWarpSize) void matrix_stores(const Word* in, Word* out) {
#if ASSAY_HAS_SM90
  ASSAY_SHARED(tile, [kStoredRows * kStoredPitch / 8], Vector);
  auto* words = reinterpret_cast<Word*>(&tile[0]);
  for (std::size_t i = lane_index(); i < kStoredWords; i += kWarpSize) words[i] = in[64 + i];
  sync_warp();
  const std::uint32_t own[2] = {in[lane_index()], in[kWarpSize + lane_index()]};
  // Lanes 16 to 31 pass addresses that nobody uses.
  const int row = lane_index() < 16 ? (lane_index() * 7 + 3) % kStoredRows : 0;
  auto* elements = reinterpret_cast<std::uint16_t*>(&tile[0]);
  stmatrix_x2_transposed(elements + row * kStoredPitch + 8, own);
  sync_warp();
  for (std::size_t i = lane_index(); i < kStoredWords; i += kWarpSize) out[i] = words[i];
#endif
}
ASSAY_CHECK(matrix_stores){
    .name = "mma/stmatrix",
    .covers = {"stmatrix_x2_transposed"},
    .arch = kSm90,
    .kernel = matrix_stores,
    .inputs = 64 + kStoredWords,
    .outputs = kStoredWords,
    .expect = [](const Words& in, Expectation& want) {
      Words stored(in.begin() + 64, in.end());
      for (std::size_t i = 0; i < 2; ++i) {
        for (std::size_t r = 0; r < 8; ++r) {
          const std::size_t row = ((8 * i + r) * 7 + 3) % kStoredRows;
          for (std::size_t g = 0; g < 8; g += 2) {
            const auto element = [&](std::size_t column) {
              return in[i * 32 + 4 * column + r / 2] >> (r % 2 * 16) & 0xffffu;
            };
            stored[(row * kStoredPitch + 8 + g) / 2] = element(g) | element(g + 1) << 16;
          }
        }
      }
      for (std::size_t i = 0; i < kStoredWords; ++i) want.bits(i, stored[i]);
    }};

// As kernels use them together: A by ldmatrix, B (row-major) transposed, then the product.
ASSAY_KERNEL(kWarpSize) void mma_from_shared(const Word* in, Word* out) {
  ASSAY_SHARED(tile_a, [kM * kPitch / 8], Vector);
  ASSAY_SHARED(tile_b, [kK * kPitch / 8], Vector);
  auto* a = reinterpret_cast<std::uint16_t*>(&tile_a[0]);
  auto* b = reinterpret_cast<std::uint16_t*>(&tile_b[0]);
  for (int i = lane_index(); i < kA; i += kWarpSize) {
    a[i / kK * kPitch + i % kK] = narrow<bf16>(as_float(in[i])).bits;
    b[i / 16 * kPitch + i % 16] = narrow<bf16>(as_float(in[kA + i])).bits;  // B is 16 x 16 here
  }
  sync_warp();
  const int i = lane_index() / 8, r = lane_index() % 8, g = lane_index() / 4, t = lane_index() % 4;
  std::uint32_t fragment_a[4], fragments_b[4];
  ldmatrix_x4(fragment_a, a + (r + i % 2 * 8) * kPitch + i / 2 * 8);
  ldmatrix_x4_transposed(fragments_b, b + (r + i % 2 * 8) * kPitch + i / 2 * 8);
  ASSAY_UNROLL
  for (int half = 0; half < 2; ++half) {
    float c[4] = {};
    const std::uint32_t fragment_b[2] = {fragments_b[2 * half], fragments_b[2 * half + 1]};
    mma_m16n8k16(c, fragment_a, fragment_b);
    for (int n = 0; n < 4; ++n) {
      out[(g + n / 2 * 8) * 16 + half * 8 + 2 * t + n % 2] = as_bits(c[n]);
    }
  }
}
ASSAY_CHECK(mma_from_shared){.name = "mma/from_shared",
                             .covers = {"mma_m16n8k16", "ldmatrix_x4", "ldmatrix_x4_transposed"},
                             .arch = {80, 0},
                             .kernel = mma_from_shared,
                             .inputs = std::size_t{2} * kA,
                             .outputs = kA,
                             .prepare =
                                 [](Words& in) {
                                   for (Word& w : in) w = bits_of(small_integer(w, 255));
                                 },
                             .expect =
                                 [](const Words& in, Expectation& want) {
                                   for (std::size_t i = 0; i < 16; ++i) {
                                     for (std::size_t j = 0; j < 16; ++j) {
                                       double sum = 0;
                                       for (std::size_t k = 0; k < 16; ++k) {
                                         sum += static_cast<double>(number(in[i * 16 + k])) *
                                                number(in[kA + k * 16 + j]);
                                       }
                                       want.number(i * 16 + j, sum);
                                     }
                                   }
                                 }};

}  // namespace assay::ASSAY_TWIN::selftest
