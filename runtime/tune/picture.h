// The result of a tune as a picture.
#pragma once
#include "runtime/tune/report.h"

#include <string>

namespace nysjit::tune {

/// An .svg of all specs: for each a line that says what won, and a heat map of each kernel that has
/// block_m (down) and block_n (across): the time over the default's as colour and number, the
/// default and the chosen blocks framed.
std::string pictureOf(const TuneReport &report);

} // namespace nysjit::tune
