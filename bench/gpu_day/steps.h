// The steps of the day, one function each. Each writes its records as they come; its Status is for
// what keeps all of it from running.
#pragma once
#include "bench/gpu_day/cases.h"
#include "bench/gpu_day/options.h"
#include "bench/gpu_day/records.h"
#include "bench/gpu_day/session.h"
#include "tests/conformance/inputs.h"

namespace nysjit::gpu_day {

/// Name, driver, sizes; the bundle's target that suits the device.
Status describeDevice(const Options &options, const Records &records);
/// Every case of a layout (or of all) against the reference, twice, and with later positions
/// changed.
Status checkConformance(const Options &options, const Records &records);
/// Long sequences against the reference.
Status checkLong(const Options &options, const Records &records);
/// The device's outputs beside the emulator's.
Status compareWithEmulator(const Options &options, const Records &records);
/// What the device copies and multiplies at best, by the driver and by a plain kernel.
Status measureRates(const Options &options, const Records &records);
/// Every timed shape: a run, its kernels, and the last head by itself.
Status measureTimes(const Options &options, const Records &records);
/// Host time of a call, launches that overlap and that do not, graphs.
Status measureLaunches(const Options &options, const Records &records);
/// Block sizes of the hottest kernels.
Status measureSweep(const Options &options, const Records &records);
/// The table and the JSON, of what records there are.
Status writeReport(const Options &options);

/// Inputs of a case, of a fixed seed; NaNs outside the sequences.
conformance::Inputs inputsOf(const ConformanceCase &one, unsigned seed);
/// Goes wrong on purpose if one of `options.breaks` names this case: "hang:CASE" and "crash:CASE"
/// do not return, "fault:CASE" writes where no memory is. Whether it is "wrong:CASE".
bool isBrokenHere(const Options &options, const Session &session, const std::string &name);

} // namespace nysjit::gpu_day
