// Spec after spec.
#include "runtime/tune/tuner.h"
#include "runtime/tune/spec_tuner.h"

namespace nysjit::tune {

Status checkAgainstCompiler(const TuneFile &file, const LabMaker &labFor) {
  std::vector<Kernels> all;
  for (const KernelSpec &spec : file.specs) {
    Result<std::unique_ptr<Lab>> lab = labFor(spec, file.threads.front());
    NYSJIT_RETURN_IF_ERROR(lab);
    // A split of a kernel that is wrong is reported below, with the others' names.
    const auto planOf = [&](const KernelConfig &config) { return (*lab)->plan(config); };
    Result<Kernels> kernels = kernelsOf(file.parameters, planOf);
    NYSJIT_RETURN_IF_ERROR(kernels);
    NYSJIT_RETURN_IF_ERROR(spaceOf(file.parameters, *kernels));
    all.push_back(std::move(*kernels));
  }
  return checkParameters(file.parameters, all);
}

namespace {

/// `isNew`: something was measured, in this part or before.
Result<TuneReport> tunePart(const TuneRequest &request, const LabMaker &labFor, Journal &journal,
                            ProgressLine &progress, bool &isNew) {
  TuneReport report;
  double left = request.file.seconds;
  for (const KernelSpec &spec : request.file.specs)
    for (const int threads : request.file.threads) {
      Result<std::unique_ptr<Lab>> lab = labFor(spec, threads);
      NYSJIT_RETURN_IF_ERROR(lab);
      NYSJIT_RETURN_IF_ERROR(checkSessions(
          journal, sessionFacts(spec, (*lab)->place(), request.file), request.isJournalShared));
      const double start = (*lab)->seconds();
      SpecTuner tuner(request, spec, **lab, journal, progress, start + left);
      Result<SpecReport> one = tuner.run();
      NYSJIT_RETURN_IF_ERROR(one);
      const double took = (*lab)->seconds() - start;
      left -= took;
      report.seconds += took;
      isNew = isNew || !one->isFromJournal;
      report.specs.push_back(std::move(*one));
      for (std::string &text : tuner.wrong())
        report.wrong.push_back(std::move(text));
    }
  return report;
}

} // namespace

Result<std::vector<TuneReport>> tuneParts(const std::vector<TunePart> &parts, Journal &journal,
                                          ProgressLine &progress) {
  std::vector<TuneReport> reports;
  double seconds = 0;
  bool isNew = journal.lines().empty() || !(journal.lines().back()["kind"] == Json("end"));
  for (const TunePart &part : parts) {
    Result<TuneReport> report = tunePart(part.request, part.labFor, journal, progress, isNew);
    NYSJIT_RETURN_IF_ERROR(report);
    seconds += report->seconds;
    reports.push_back(std::move(*report));
  }
  if (isNew)
    NYSJIT_RETURN_IF_ERROR(journal.append({{{"kind", "end"}, {"seconds", seconds}}}, true));
  return reports;
}

Result<TuneReport> tuneSpecs(const TuneRequest &request, const LabMaker &labFor, Journal &journal,
                             ProgressLine &progress) {
  Result<std::vector<TuneReport>> reports = tuneParts({{request, labFor}}, journal, progress);
  NYSJIT_RETURN_IF_ERROR(reports);
  return std::move(reports->front());
}

} // namespace nysjit::tune
