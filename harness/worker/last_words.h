// What a dying process writes into its black box: which signal, where, by what access, beside which
// buffer, and the exception that nobody caught.
#pragma once

namespace assay {

// To be called before there are threads. The signals then go on to whoever had them before.
void install_last_words();

}  // namespace assay
