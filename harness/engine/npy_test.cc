#include "harness/engine/npy.h"

#include <cstring>
#include <fstream>
#include <iterator>

#include "harness/core/error.h"
#include "harness/testing.h"

namespace assay {

TEST_CASE("a tensor becomes a file that NumPy reads") {
  const auto path = std::filesystem::temp_directory_path() / "assay_npy_test.npy";
  const bf16 values[] = {{0x3f80}, {0xc000}, {0x7fc0}};
  write_npy(path, {"V", Role::in, DType::bf16, {1, 3}, {3, 1}}, values);
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  REQUIRE(bytes.size() == 128 + 12);
  CHECK(bytes.substr(0, 8) == std::string("\x93NUMPY\x01\0", 8));
  CHECK(bytes.substr(8, 2) == std::string("\x76\0", 2));  // 118 bytes of header
  CHECK(bytes.substr(10, 59) == "{'descr': '<f4', 'fortran_order': False, 'shape': (1,3,)}  ");
  CHECK(bytes[127] == '\n');
  float first[2];
  std::memcpy(first, bytes.data() + 128, sizeof first);
  CHECK((first[0] == 1 && first[1] == -2));
  CHECK_THROWS_AS(write_npy("/no/such/folder/x.npy", {"V", Role::in, DType::f32, {0}, {1}}, values),
                  EnvironmentError);
  std::filesystem::remove(path);
}

namespace {

std::string message_of(const std::filesystem::path& file, const TensorSpec& spec, void* data) {
  try {
    read_npy(file, spec, data);
  } catch (const UsageError& error) {
    std::string text = error.what();
    return text.substr(text.find(' ') + 1);  // without the path
  }
  return "";
}

void append(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::app) << bytes;
}

}  // namespace

TEST_CASE("what was written is read back, bit for bit") {
  const auto path = std::filesystem::temp_directory_path() / "assay_npy_round_trip.npy";
  const TensorSpec bf16_spec{"V", Role::in, DType::bf16, {2, 2}, {2, 1}};
  const bf16 values[] = {{0x3f80}, {0xc000}, {0x7fc0}, {0x0001}};
  write_npy(path, bf16_spec, values);
  bf16 read[4] = {};
  read_npy(path, bf16_spec, read);
  CHECK(std::memcmp(values, read, sizeof read) == 0);

  const TensorSpec f16_spec{"V", Role::in, DType::f16, {3}, {1}};
  const f16 halves[] = {{0x3c00}, {0x7c01}, {0x8000}};
  write_npy(path, f16_spec, halves);
  f16 same[3] = {};
  read_npy(path, f16_spec, same);
  CHECK(std::memcmp(halves, same, sizeof same) == 0);
  std::filesystem::remove(path);
}

TEST_CASE("a file that is not the tensor asked for is refused, with the reason") {
  const auto path = std::filesystem::temp_directory_path() / "assay_npy_refused.npy";
  const TensorSpec f32{"O", Role::out, DType::f32, {2, 3}, {3, 1}};
  const float values[] = {1, 2, 3, 4, 5, 1.001F};
  float read[6] = {};
  std::filesystem::remove(path);
  CHECK(message_of(path, f32, read) == "cannot be read");
  write_npy(path, f32, values);
  CHECK(message_of(path, {"O", Role::out, DType::f32, {3, 2}, {2, 1}}, read) ==
        "has the shape (2,3,), want (3,2,)");
  CHECK(message_of(path, {"O", Role::out, DType::f16, {2, 3}, {3, 1}}, read) ==
        "holds '<f4', want '<f2': convert it before saving");
  CHECK(message_of(path, {"O", Role::out, DType::bf16, {2, 3}, {3, 1}}, read) ==
        "holds values that bf16 does not have, the first is 1.00100005 at element 5: round to bf16 "
        "before widening to f32");
  append(path, "x");
  CHECK(message_of(path, f32, read) == "has bytes after its last element");
  std::filesystem::resize_file(path, 128 + 20);
  CHECK(message_of(path, f32, read) == "is cut off");
  std::ofstream(path) << "no numbers";
  CHECK(message_of(path, f32, read) == "is no .npy file");
  // As NumPy writes a header: blanks, no comma behind the last dim.
  std::string header =
      "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }                 \n";
  std::ofstream(path, std::ios::binary)
      << std::string("\x93NUMPY\x01\0", 8) << static_cast<char>(header.size()) << '\0' << header;
  CHECK(message_of(path, f32, read) ==
        "is stored column by column: save numpy.ascontiguousarray of it");
  std::filesystem::remove(path);
}

}  // namespace assay
