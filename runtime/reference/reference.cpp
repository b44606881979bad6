// The output of all heads and sequences: runs the layout on each and adds the convolution.
#include "runtime/reference/reference.h"
#include "runtime/reference/convolution.h"
#include "runtime/reference/heads.h"

namespace nysjit::reference {

namespace {

Matrix layoutOf(const LayoutInput &input) {
  switch (input.spec.layout) {
#define NYSJIT_LAYOUT(id, name, function, landmarks, inverse, reach)                               \
  case Layout::id: return function(input);
#include "runtime/spec/layouts.def"
  }
  return Matrix();
}

struct InputRow {
  std::string_view name;
  const double *ReferenceInput::*member;
};
constexpr InputRow inputRows[] = {{"q", &ReferenceInput::q},
                                  {"k", &ReferenceInput::k},
                                  {"v", &ReferenceInput::v},
                                  {"landmark_q", &ReferenceInput::landmarkQ},
                                  {"landmark_k", &ReferenceInput::landmarkK},
                                  {"conv", &ReferenceInput::conv},
                                  {"dout", &ReferenceInput::dout}};

} // namespace

const double *ReferenceInput::*inputTensor(std::string_view name) {
  for (const InputRow &row : inputRows)
    if (row.name == name)
      return row.member;
  return nullptr;
}

Result<std::vector<double>> compute(const ReferenceInput &input) {
  std::vector<double> out(tensorSize(input, input.queryHeads), 0.0);
  NYSJIT_RETURN_IF_ERROR(forEachHead(input, [&](const HeadPlace &place, const LayoutInput &of) {
    Matrix result = layoutOf(of);
    if (const int taps = input.spec.convKernel; taps > 0)
      addConvolution(result, of.head.v, input.conv + place.queryHead * taps, input.spec);
    addRows(result, input, place, queryHead(input, place), out);
  }));
  return out;
}

} // namespace nysjit::reference
