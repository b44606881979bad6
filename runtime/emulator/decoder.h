// From a kernel's text to Code. One instruction of the text becomes one of the code, so that labels
// keep their places. Each opcode has a function in decode_*.cpp that takes the modifiers it knows;
// one that is left over is an error, as is anything else that is not supported, named with its
// line.
#pragma once
#include "runtime/emulator/handlers.h"
#include "runtime/emulator/lanes.h"

#include <map>
#include <unordered_map>

namespace nysjit::emulator {

enum class AtomicOp : uint8_t { Add, Min, Max, Inc, Dec, And, Or, Xor, Exchange, CompareAndSwap };
enum class MbarrierOp : uint8_t {
  Init,
  Inval,
  Arrive,
  ArriveDrop,
  ArriveExpectTx,
  ExpectTx,
  CompleteTx,
  PendingCount,
  TestWait,
  TestWaitParity,
  TryWait,
  TryWaitParity
};

class Decoder {
public:
  /// `addresses`: of the module's variables, in order; 0 for shared ones.
  Decoder(const syntax::Module &module, const std::vector<uint64_t> &addresses, Code &code)
      : module(module), addresses(addresses), code(code), table(chooseLanes()) {}
  /// Decodes the kernel and what it calls. On failure false and "line 12: ..." in `error`.
  bool run(uint32_t entry, std::vector<Parameter> &parameters, std::string &error);

private:
  using Step = void (Decoder::*)();
  static const std::unordered_map<std::string, Step> &steps();

  // What the text says.
  bool take(std::string_view modifier);
  bool takePrefixed(std::string_view prefix); // any one that begins so
  Type takeType();
  Rounding takeRounding();
  void takeCacheHints();
  bool takeSpace();
  void takeOrder(); // scopes, .relaxed, .acquire, .release, .acq_rel, .volatile, .weak
  void fail(const std::string &message);
  bool expectOperands(size_t least, size_t most);
  const syntax::Operand &operand(size_t index);
  size_t operandCount() const { return text->operands.size(); }

  // Operands' places in the register file.
  uint32_t allocate(uint32_t bytes);
  uint32_t allocatePredicate();
  uint32_t constant(uint64_t bits, bool wide);
  uint32_t predicateConstant(bool value);
  uint32_t discarded(); // a place for results that go nowhere
  uint32_t special(const std::string &name, bool wide);
  uint64_t immediateBits(const syntax::Operand &o, Type type);
  Type registerType(const syntax::Operand &o) const;
  /// The operand as a register of `type`'s size; `any`: of any size of at least it.
  uint32_t place(const syntax::Operand &o, Type type, bool &wide, bool any = false);
  void bind(uint32_t slot, size_t index, Type type, bool any = false);
  void bindPredicate(uint32_t slot, size_t index, bool *negated = nullptr);
  void bindPredicateDestination(uint32_t slot, size_t index);
  uint32_t predicate(const syntax::Operand &o, bool *negated);
  void bindDestination(uint32_t slot, size_t index, Type type, bool any = false);
  /// [base + offset]: op[slot] and the offset added to `immediate` (or to `offset`).
  void bindAddress(uint32_t slot, size_t index, int64_t *offset = nullptr);
  uint64_t variableAddress(const syntax::Operand &o);
  /// The registers of a vector operand, or of a single one, to Code::lists.
  uint32_t registerList(const syntax::Operand &o, Type type, bool &wide, bool any,
                        bool destination);
  void useLanes(LaneHandler handler);

  // decode_arithmetic.cpp
  void arithmetic();
  void multiply();
  void carry();
  void bitwise();
  void shift();
  void funnelShift();
  void bits();
  void lop3();
  void permute();
  void setPredicate();
  void set();
  void selectLane();
  void move();
  void vectorMove(bool toVector, Type type);
  void dot();
  void testFloat();
  void unary();
  // decode_convert.cpp
  void convert();
  // decode_memory.cpp
  void loadStore();
  void atomic();
  void convertAddress();
  void isSpace();
  void nothing();
  void mapRank();
  // decode_async.cpp
  void copyAsync();
  void copyAsyncBulk();
  void copyArrive();
  void copyElements();
  void copyBulk(bool store);
  void mbarrier();
  void bindMbarrier(MbarrierOp op, bool parity);
  // decode_matrix.cpp
  void loadStoreMatrix();
  void moveMatrix();
  void mma();
  // decode_sync.cpp
  void barrier();
  void fence();
  void shuffle();
  void vote();
  void match();
  void reduceLanes();
  void activeMask();
  void elect();
  void branch();
  void indexedBranch();
  void call();
  void callFunction(uint32_t f, const syntax::Operand *results, const syntax::Operand *arguments);
  void ret();
  void exit();
  void gridDependency();
  void trap();
  void sleep();

  bool collect(uint32_t function);
  void collectOperand(uint32_t function, const syntax::Operand &o);
  void layOutShared();
  void decodeFunction(uint32_t function);
  void layOutParameters(const syntax::Function &f, std::vector<Parameter> &parameters);

  const syntax::Module &module;
  const std::vector<uint64_t> &addresses;
  Code &code;
  const Lanes &table;
  std::string failure;

  // Of the kernel.
  uint32_t entry = 0;
  std::vector<uint32_t> reachable; // functions, the kernel first
  std::vector<uint32_t> calling;   // while collecting: the chain, to find recursion
  std::unordered_map<uint32_t, std::vector<uint32_t>> registerPlaces;
  std::unordered_map<uint32_t, std::vector<uint32_t>> framePlaces; // by function
  // first pc, by function
  std::unordered_map<uint32_t, uint32_t> bases;
  // pc, function: targets to fill in
  std::vector<std::pair<uint32_t, uint32_t>> calls;
  // by module variable
  std::unordered_map<uint32_t, uint64_t> sharedAddresses;
  std::vector<uint32_t> sharedUsed;
  std::map<std::pair<bool, uint64_t>, uint32_t> constants;
  std::map<std::pair<bool, uint32_t>, uint32_t> specials;
  uint32_t predicatesLeft = 0;
  uint32_t nextPredicate = 0;
  uint32_t carryPlace = noOperand;
  uint32_t discardPlace = noOperand;

  // Of the instruction.
  uint32_t functionIndex = 0;
  const syntax::Function *function = nullptr;
  const syntax::Instruction *text = nullptr;
  std::vector<std::string> left; // modifiers not yet taken
  Instruction out;
};

/// The handler of an operation on this type, from the table of halves, floats or integers.
LaneHandler laneHandler(const Lanes &table, LaneOp op, Type type);

} // namespace nysjit::emulator
