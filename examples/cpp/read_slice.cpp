// Read one slice with LiteRT's C API from C++, by the numbers of a bundle's manifest.json.
//
// read_slice MODEL.tflite SLICE.hu DTYPE CHANNELS SCALE ZERO_POINT
//
// SLICE.hu is rows x columns int16, HU on the model's grid and at its brain level (steps `hu`,
// `resize` and `brain_level`). Done here are `windows`, `store` and the run; printed are the five
// logits, to which the manifest's `calibration` belongs.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "litert/c/litert_common.h"
#include "litert/c/litert_compiled_model.h"
#include "litert/c/litert_environment.h"
#include "litert/c/litert_model.h"
#include "litert/c/litert_options.h"
#include "litert/c/litert_tensor_buffer.h"

constexpr int kSide = 256;  // input.rows, input.columns
constexpr struct { int centre, width; } kWindows[] = {{40, 80}, {80, 200}, {40, 380}};

void Check(LiteRtStatus status, const char* what) {
  if (status == kLiteRtStatusOk) return;
  std::fprintf(stderr, "%s: status %d\n", what, static_cast<int>(status));
  std::exit(1);
}

// Step `windows`, and `store` for the integers of an int8 model.
template <typename T>
void Store(const std::vector<int16_t>& hu, int channels, float scale, int zero_point, T* tensor) {
  for (size_t pixel = 0; pixel < hu.size(); ++pixel) {
    for (int channel = 0; channel < channels; ++channel) {
      float value = 0.0f;  // of a channel after the windows'
      if (channel < 3) {
        const int low = kWindows[channel].centre - kWindows[channel].width / 2;
        const int above = std::clamp<int>(hu[pixel] - low, 0, kWindows[channel].width);
        value = static_cast<float>(above) / static_cast<float>(kWindows[channel].width);
      }
      if (sizeof(T) == 1)  // nearbyint: halves to even
        value = std::clamp(std::nearbyint(value / scale) + zero_point, -128.0f, 127.0f);
      tensor[pixel * channels + channel] = static_cast<T>(value);
    }
  }
}

int main(int count, char** words) {
  if (count != 7) return 2;
  const bool int8 = std::string(words[3]) == "int8";
  const int channels = std::atoi(words[4]), zero_point = std::atoi(words[6]);
  const float scale = std::strtof(words[5], nullptr);
  std::vector<int16_t> hu(kSide * kSide);
  std::ifstream file(words[2], std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(hu.data()), hu.size() * sizeof(int16_t))) return 2;

  LiteRtEnvironment environment;
  LiteRtModel model;
  LiteRtOptions options;
  LiteRtCompiledModel compiled;
  LiteRtSignature signature;
  Check(LiteRtCreateEnvironment(0, nullptr, &environment), "environment");
  Check(LiteRtCreateModelFromFile(environment, words[1], &model), "model");
  Check(LiteRtCreateOptions(&options), "options");
  Check(LiteRtSetOptionsHardwareAccelerators(options, kLiteRtHwAcceleratorCpu), "accelerator");
  Check(LiteRtCreateCompiledModel(environment, model, options, &compiled), "compiled model");
  Check(LiteRtGetModelSignature(model, 0, &signature), "signature");

  LiteRtTensorBuffer input, outputs[2];
  LiteRtTensor tensor;
  LiteRtRankedTensorType type;
  LiteRtTensorBufferRequirements needs;
  Check(LiteRtGetSignatureInputTensor(signature, "windows", &tensor), "input.name");
  Check(LiteRtGetRankedTensorType(tensor, &type), "type of the input");
  Check(LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, &needs), "input");
  Check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &type, needs, &input),
        "input");
  LiteRtParamIndex logits = 2;
  for (LiteRtParamIndex index = 0; index < 2; ++index) {  // found by name: output.logits.name
    const char* name;
    Check(LiteRtGetSignatureOutputName(signature, index, &name), "name of an output");
    if (std::string(name) == "logits") logits = index;
    Check(LiteRtGetSignatureOutputTensorByIndex(signature, index, &tensor), "output");
    Check(LiteRtGetRankedTensorType(tensor, &type), "type of an output");
    Check(LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, index, &needs), "output");
    Check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &type, needs,
                                                          &outputs[index]), "output");
  }
  if (logits == 2) return 1;

  void* memory;
  Check(LiteRtLockTensorBuffer(input, &memory, kLiteRtTensorBufferLockModeWrite), "writing");
  if (int8) Store(hu, channels, scale, zero_point, static_cast<int8_t*>(memory));
  else Store(hu, channels, scale, zero_point, static_cast<float*>(memory));
  Check(LiteRtUnlockTensorBuffer(input), "writing");
  Check(LiteRtRunCompiledModel(compiled, 0, 1, &input, 2, outputs), "run");
  LiteRtTensorBuffer found = outputs[logits];
  Check(LiteRtLockTensorBuffer(found, &memory, kLiteRtTensorBufferLockModeRead), "reading");
  const float* values = static_cast<const float*>(memory);
  for (int subtype = 0; subtype < 5; ++subtype) std::printf("%.9g\n", values[subtype]);
  Check(LiteRtUnlockTensorBuffer(found), "reading");

  LiteRtDestroyTensorBuffer(input);
  for (LiteRtTensorBuffer one : outputs) LiteRtDestroyTensorBuffer(one);
  LiteRtDestroyCompiledModel(compiled);
  LiteRtDestroyOptions(options);
  LiteRtDestroyModel(model);
  LiteRtDestroyEnvironment(environment);
}
