// dw and dg from partial sums of X = Σ ds r V.
#pragma once

#include "kernels/device/weight_gradient.h"
