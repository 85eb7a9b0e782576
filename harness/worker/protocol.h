// What a supervisor and its worker say to each other: a job a line one way, a record a line the
// other. The worker's black box is in memory that both see.
#pragma once

#include <string>

#include "harness/engine/run_case.h"

namespace assay {

// As the worker finds them open.
inline constexpr int kSocket = 3;
inline constexpr int kBlackBox = 4;

inline constexpr const char* kReady = "{}";  // the worker's first line

// Of a job, what names it; twins stay with the worker.
std::string to_line(const Job& job, const RunOptions& options);

struct Order {
  Problem problem;
  const Variant* variant = nullptr;
  bool is_liar = false;
  std::string alias, note;
  Backend backend = Backend::cpu;
  int device = 0;
  RunOptions options;
};

// Throws where the line is not of this very program.
Order read_order(const std::string& line);

// One end of a stream of lines.
class LineSocket {
 public:
  explicit LineSocket(int descriptor) : descriptor_(descriptor) {}
  int descriptor() const { return descriptor_; }

  bool send(const std::string& line) const;  // false: the other end is gone
  // Takes a line that is complete.
  bool take(std::string& line);
  // Waits for more bytes; false: the other end is gone.
  bool receive();

 private:
  int descriptor_;
  std::string buffer_;
};

}  // namespace assay
