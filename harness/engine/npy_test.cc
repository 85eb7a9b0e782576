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

}  // namespace assay
