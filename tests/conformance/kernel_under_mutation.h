// One kernel of a program by itself on the emulator, as it is or mutated: what it starts from, and
// what is right, come from a run of the whole program, which is compared with the reference.
#pragma once
#include "runtime/api/context.h"
#include "tests/conformance/arguments.h"
#include "tests/conformance/ptx_equivalences.h"

#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace nysjit::conformance {

/// A kernel of a spec's program. Blocks are small, so that every loop turns several times at
/// lengths that the emulator takes milliseconds for.
struct KernelCase {
  std::string name;
  std::string layout;
  std::string program; // the layout and what else the program is known by
  std::string kernel;
  std::string spec;
  std::string config;
  std::vector<int64_t> lengths;    // of the sequences it runs on
  std::vector<int64_t> queryHeads; // of one key head, taken in turn by the lengths
  /// Each survivor has a rule that says why it is the same program. Where not, some survive that
  /// nobody has looked at.
  bool isExplained;

  /// 1 where the kernel is for rows that are not aligned.
  int64_t padding() const { return kernel.ends_with("_unaligned"); }
};
inline void PrintTo(const KernelCase &one, std::ostream *out) { *out << one.name; }

/// One way to run a program: on one sequence, on some of different lengths in rows of their own, or
/// on some one after the other. Rows of `padding` 1 are not aligned: other kernels run.
struct Trial {
  enum Form { Single, Padded, Packed };
  using Tensor = std::vector<double> Inputs::*;
  int64_t padding;
  int64_t length;
  int64_t queryHeads;
  std::string outputDtype;
  bool isLazy;
  uint64_t seed;
  Form form = Single;
  /// A number of the first head that is NaN. Position -1: all are finite.
  int64_t nanPosition = -1;
  int64_t nanElement = 0;
  Tensor nanTensor = &Inputs::v;
  /// The learned probe that alone sees the position of the NaN, with all of its weight, as half of
  /// the queries do; the others give it none. -1: all see it.
  int64_t nanProbe = -1;
  /// The kernels before ran without the NaN: what this one has from them is finite, so that no row
  /// is NaN for that already.
  bool isNanLate = false;
  std::set<std::string> leftOut = {}; // gradients that are not asked for

  /// Where the first padded sequence begins: in every quarter of what a kernel clears.
  int64_t start() const { return length / (seed % 3 == 0 ? 8 : seed % 3 == 1 ? 2 : 4); }
};

/// The trial's own.
void putNaN(Inputs &in, const Trial &trial);

/// From and to, one range after the other.
using Ranges = std::vector<std::pair<size_t, size_t>>;

/// The workspace between two kernels, and what of it was written.
struct Workspace {
  std::vector<char> bytes;
  Ranges written;
};

/// What a run gave. Work is what each launch did for its result: bank conflicts, bytes read and
/// written, and products.
struct Observation {
  std::string finding;      // "" if nothing was wrong
  std::vector<char> output; // of a backward program its gradients, one after the other
  std::vector<char> workspace;
  std::map<std::string, std::vector<double>> numbers; // of each of them, by tensor
  std::vector<std::string> kernels;                   // launched
  std::vector<std::vector<char>> workspaces;          // after each launch
  std::vector<int64_t> work;
  int64_t instructions = 0; // of the longest launch

  /// The same work, by no more instructions: a copy or a turn of a loop that nothing needs is more.
  bool isAsMuchWorkAs(const Observation &right) const {
    return work == right.work && instructions <= right.instructions;
  }
};

/// One launch of the kernel in one trial: what it starts from and what is right.
struct Step {
  Trial trial;
  Inputs inputs;
  Workspace start;
  Observation right;
};

enum class Catch { Loading, Emulator, Result, Work, Equivalence, Nothing };
struct Verdict {
  Catch by;
  std::string reason; // of an equivalence or a survivor
};

class KernelUnderMutation {
public:
  /// `thorough`: with the trials that take long to prepare, for many mutations.
  explicit KernelUnderMutation(const KernelCase &theCase, bool thorough = false);
  /// Of prepare(): the program, not yet run.
  void compile();
  /// A fatal failure where something is wrong that has nothing to do with mutations.
  void prepare();
  /// All kernels of the program.
  std::vector<std::string> programsKernels() const;
  /// A kernel's lines, but for the numbers of its labels.
  std::string textOf(const std::string &kernel) const;
  /// All of the kernel's.
  std::vector<Mutation> mutations() const;
  /// A failure is recorded if a rule says that the mutation is no change, and it was caught.
  Verdict tryOne(const Mutation &mutation) const;
  /// "bound off by one in KERNEL line 7: ... -> ...".
  std::string describe(const Mutation &mutation) const;

private:
  using LoadResult = Result<std::shared_ptr<const LoadedProgram>>;
  LoadResult load(const Plan &itsPlan, const std::string &text) const;
  Plan planOf(const std::string &kernel) const;
  Inputs inputs(const Trial &trial) const;
  void expectRight(const Observation &whole, const Trial &trial, const Inputs &in) const;
  std::vector<Trial> trials() const;
  void addNaNs(std::vector<Trial> &all, int64_t longest) const;
  void addLateNaNs(std::vector<Trial> &all, int64_t longest) const;
  void addNaNsForBlocks(std::vector<Trial> &all) const;
  void addNaNsForProbes(std::vector<Trial> &all, int64_t longest) const;
  /// Whether a trial runs the instruction.
  bool isReached(const Mutation &mutation) const;
  Observation run(const LoadedProgram &program, const Trial &trial, const Inputs &in,
                  const Workspace &start, uint64_t limit) const;
  std::vector<Ranges> writtenBy(const LoadedProgram &program, const Trial &trial, const Inputs &in,
                                size_t size) const;
  std::vector<Workspace> rightWorkspaces(const LoadedProgram &program, const Trial &trial,
                                         const Inputs &in, const Observation &whole);
  void addRightSteps(const LoadedProgram &whole, const Trial &trial);

  const KernelCase one;
  const bool isThorough;
  const Gpu gpu{true};
  std::shared_ptr<CudaDevice> device;
  KernelSpec spec;
  Plan plan;
  std::unique_ptr<PtxText> text;
  std::string ptx;
  std::vector<Step> steps;
  /// By form, length, heads, type of output and start.
  std::map<std::tuple<int, int64_t, int64_t, std::string, int64_t>, std::vector<Ranges>> written;
  std::vector<Alternatives> values;
};

/// Every kernel of every layout, in two types with two and three stages.
std::vector<KernelCase> kernelCases();

} // namespace nysjit::conformance
