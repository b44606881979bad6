// The builder's masks: how they split loops, and what they say to dots.
#include "tests/compiler/builder_fixture.h"

using namespace nysjit;

namespace {

/// The rows' own positions: cell + 0, 1, ...
Tile positions(Kernel &k, int count) { return k.iota(count) + k.cell(); }

const Scalar n(Expression::symbol("n"));

/// Says of each loop that forTiles emits what its body is given: "begin,end", "end" or "whole".
class MaskedLoops : public Builder {
protected:
  std::vector<std::string> loopsOf(const std::function<Mask(Kernel &)> &maskOf) {
    std::vector<std::string> found;
    build([&](Kernel &k, const TensorRef &) {
      k.forTiles({0, n}, maskOf(k), 16, {}, [&](Scalar, const TileMask &seen) {
        if (seen.hidesNothing()) {
          found.push_back("whole");
          return;
        }
        const mlir::Value mask = valueOf(seen.over(k, 8, 16).irValue());
        const bool begins = bool(mask.getDefiningOp<tile::MaskOp>().getBegin());
        found.push_back(begins ? "begin,end" : "end");
      });
    });
    return found;
  }
  using Loops = std::vector<std::string>;
};

TEST_F(MaskedLoops, StartWholeWhereAllRowsSeeTheFirstTile) {
  const Loops loops =
      loopsOf([](Kernel &k) { return Mask::upTo(positions(k, 8)).allSee({0, k.cell()}); });
  EXPECT_EQ(loops, (Loops{"whole", "end"}));
}

TEST_F(MaskedLoops, TestWhereRowsBeginOnlyBeforeAllHave) {
  const Loops loops = loopsOf([](Kernel &k) {
    const Tile i = positions(k, 8);
    return Mask::upTo(i).from(i - 64).allSee({k.cell(), n});
  });
  EXPECT_EQ(loops, (Loops{"begin,end", "whole", "end"}));
}

TEST_F(MaskedLoops, AreOneLoopWhereNothingIsSeenByAll) {
  const Loops loops = loopsOf([](Kernel &k) {
    const Tile i = positions(k, 8);
    return Mask::upTo(i).from(i - 64);
  });
  EXPECT_EQ(loops, Loops{"begin,end"});
}

TEST_F(MaskedLoops, AMaskSaysWhetherItsEndIsSeen) {
  auto inclusive = [&](bool isInclusive) {
    (void)loopsOf([&](Kernel &k) {
      return isInclusive ? Mask::upTo(positions(k, 8)) : Mask::below(positions(k, 8));
    });
    return count("inclusive");
  };
  EXPECT_EQ(inclusive(false), 0);
  EXPECT_EQ(inclusive(true), 1);
}

TEST_F(Builder, WhereRowsCountALimitIsAColumns) {
  auto over = [&](int limits) {
    return errorOf([&](Kernel &k, const TensorRef &) {
      const Mask mask = Mask::rowsBelow(positions(k, limits)).from(k.iota(limits));
      const Tile seen = TileMask(mask, k.cell()).over(k, 8, 16);
      EXPECT_EQ(valueOf(seen.irValue()).getDefiningOp<tile::MaskOp>().getAxis(), 0u);
    });
  };
  EXPECT_EQ(over(16), "");
  EXPECT_NE(over(8).find("expected a mask's limit for each of 16 columns, found 8"),
            std::string::npos);
}

TEST_F(Builder, ALimitForOtherRowsIsAnErrorWithItsLine) {
  const int line = __LINE__ + 2;
  const std::string message = errorOf([](Kernel &k, const TensorRef &) {
    const Mask mask = Mask::below(positions(k, 8));
    (void)TileMask(mask, 0).over(k, 16, 32);
  });
  EXPECT_EQ(message, "tests/compiler/builder_mask_test.cpp:" + std::to_string(line) +
                         ": expected a mask's limit for each of 16 rows, found 8");
}

TEST_F(Builder, ADotsMasksAreItsOperands) {
  build([](Kernel &k, const TensorRef &q) {
    const Tile x = k.load(k.view(q, {}), 0, 16);
    const TileMask seen(Mask::below(n), 0);
    const Tile scores = dot(x, transposed(x), seen);
    (void)dotAdd(x, where(seen, scores, 0.0), x, DotOptions::zeroElsewhere(seen));
  });
  EXPECT_EQ(count("read_where"), 1);
  EXPECT_EQ(count("nonzero_where"), 1);
  EXPECT_EQ(count("transpose_b"), 1);
}

TEST_F(Builder, WholeTilesAreReadWithoutTests) {
  build([](Kernel &k, const TensorRef &q) {
    const View view = k.view(q, {});
    const Mask mask = Mask::below(view.length).allSee({0, view.length});
    k.forTiles({0, view.length}, mask, 16, {}, [&](Scalar t, const TileMask &) {
      (void)k.load(view, t, 16);
      (void)k.load(view, t, 8);                     // not the tile
      (void)k.load(view, ScalarOperand(t) + 1, 16); // not its start
    });
    (void)k.load(view, 0, 16);
  });
  std::vector<bool> inBounds;
  module->walk([&](tile::LoadOp load) { inBounds.push_back(load.getInBounds()); });
  EXPECT_EQ(inBounds, (std::vector<bool>{true, false, false, false, false, false, false}));
}

} // namespace
