// The process in which the cases of a sweep run, so that one that crashes or hangs ends this
// process and not the sweep. A Supervisor starts it.
#pragma once

namespace assay {

// Answers jobs with records until the supervisor hangs up. Throws UsageError in a process that none
// has started.
int worker_main();

}  // namespace assay
