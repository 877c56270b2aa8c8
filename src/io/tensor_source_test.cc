#include "io/tensor_source.h"

#include <cstring>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "io/testing/fault_file_system.h"
#include "io/testing/memory_file_system.h"
#include "io/testing/test_checkpoint.h"

namespace mach::io {
namespace {

using tensor::DType;
using Shape = std::vector<uint64_t>;

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

constexpr uint64_t kStacked = 3;
constexpr uint64_t kHidden = 64;
constexpr uint64_t kWidth = 32;

// One checkpoint "m" in memory, with its source.
class Model {
 public:
  explicit Model(const TestTensors& tensors, const std::string& config = "{}") {
    fs_.Put("m/config.json", config);
    fs_.Put("m/model.safetensors", tensors.Bytes());
    auto opened = Checkpoint::Open(fs_, "m");
    if (!opened) {
      error_ = opened.error().message;
      return;
    }
    checkpoint_ = *std::move(opened);
    auto source = TensorSource::Create(*checkpoint_);
    if (source) {
      source_.emplace(*std::move(source));
    } else {
      error_ = source.error().message;
    }
  }

  const std::string& error() const { return error_; }
  const TensorSource& operator*() const {
    MACH_CHECK(source_.has_value());
    return *source_;
  }
  const TensorSource* operator->() const { return &**this; }

  // 32-bit words of a slice.
  std::vector<uint32_t> Words(const Slice& slice) const {
    std::vector<uint32_t> words(slice.bytes / 4);
    EXPECT_TRUE(checkpoint_->Read(slice, std::as_writable_bytes(std::span(words))).ok());
    return words;
  }
  std::vector<float> Floats(const Slice& slice) const {
    std::vector<float> values(slice.bytes / 4);
    EXPECT_TRUE(checkpoint_->Read(slice, std::as_writable_bytes(std::span(values))).ok());
    return values;
  }

 private:
  MemoryFileSystem fs_;
  std::string error_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::optional<TensorSource> source_;
};

template <class T>
std::string MessageOf(const Result<T>& result) {
  return result.ok() ? "ok" : result.error().message;
}

// first, first + 1, ..: what TestTensors::Count puts there.
std::vector<float> Counting(uint64_t first, uint64_t n) {
  std::vector<float> values(n);
  for (uint64_t i = 0; i < n; ++i) values[i] = static_cast<float>(first + i);
  return values;
}
std::vector<uint32_t> CountingWords(uint64_t first, uint64_t n) {
  std::vector<uint32_t> values(n);
  for (uint64_t i = 0; i < n; ++i) values[i] = static_cast<uint32_t>(first + i);
  return values;
}

std::string Affine(int bits, int group, const std::string& more = "") {
  return R"({"quantization":{"group_size":)" + std::to_string(group) + R"(,"bits":)" +
         std::to_string(bits) + more + "}}";
}

TEST(TensorSource, EveryPrefixAndHeadIsFound) {
  for (const std::string prefix :
       {"", "model.", "language_model.", "model.language_model.", "language_model.model."}) {
    for (const std::string head : {"lm_head", "language_model.lm_head", "model.lm_head", "head"}) {
      const Model model(TestTensors()
                            .Count(prefix + "embed_tokens.weight", DType::kF32, {4, 2})
                            .Count(prefix + "layers.0.mlp.gate.weight", DType::kF32, {3, 2}, 5)
                            .Count(prefix + "layers.0.A_log", DType::kF32, {3}, 6)
                            .Count("mtp.norm.weight", DType::kF32, {2})
                            .Count(head + ".weight", DType::kF32, {4, 2}, 9));
      ASSERT_EQ(model.error(), "");
      EXPECT_EQ(model->layout(), TensorSource::Layout::kHf);
      EXPECT_TRUE(model->Has("embed_tokens"));
      EXPECT_TRUE(model->Has("lm_head"));
      EXPECT_TRUE(model->Has("layers.0.A_log"));
      EXPECT_FALSE(model->Has("layers.1.A_log"));
      const auto gate = model->Matrix("layers.0.mlp.gate", 3, 2);
      ASSERT_TRUE(gate.ok()) << gate.error().message;
      EXPECT_EQ(gate->name, prefix + "layers.0.mlp.gate.weight");
      EXPECT_EQ(model.Floats(gate->weight), Counting(5, 6));
      EXPECT_EQ(model.Floats(model->Matrix("lm_head", 4, 2)->weight), Counting(9, 8));
    }
  }
}

TEST(TensorSource, ADrafterHasNoEmbeddingAndATiedModelNoHead) {
  const Model drafter(TestTensors()
                          .Count("model.norm.weight", DType::kBF16, {2})
                          .Count("model.layers.0.mlp.up_proj.weight", DType::kBF16, {3, 2}));
  ASSERT_EQ(drafter.error(), "");
  EXPECT_FALSE(drafter->Has("embed_tokens"));
  EXPECT_FALSE(drafter->Has("lm_head"));
  const auto up = drafter->Matrix("layers.0.mlp.up_proj", 3, 2);
  ASSERT_TRUE(up.ok());
  EXPECT_EQ(up->type, DType::kBF16);
  EXPECT_EQ(up->bits, 0);
}

// The same experts in every layout: gate counts from 0, up from 10,000, down from 20,000.
void ExpectExperts(const Model& model) {
  ASSERT_EQ(model.error(), "");
  constexpr uint64_t kSize = kWidth * kHidden;
  for (uint32_t e = 0; e < kStacked; ++e) {
    const auto expert = model->Expert("layers.0.mlp", ExpertId{e}, kStacked, kHidden, kWidth);
    ASSERT_TRUE(expert.ok()) << expert.error().message;
    EXPECT_EQ(expert->gate.rows, kWidth);
    EXPECT_EQ(expert->gate.cols, kHidden);
    EXPECT_EQ(expert->down.rows, kHidden);
    EXPECT_EQ(expert->down.cols, kWidth);
    EXPECT_EQ(model.Floats(expert->gate.weight), Counting(e * kSize, kSize));
    EXPECT_EQ(model.Floats(expert->up.weight), Counting(10000 + e * kSize, kSize));
    EXPECT_EQ(model.Floats(expert->down.weight), Counting(20000 + e * kSize, kSize));
  }
}

TEST(TensorSource, ExpertsOfEveryDenseLayoutAreTheSame) {
  const std::string at = "model.layers.0.mlp.";
  const auto base = [] {
    return TestTensors().Count("model.embed_tokens.weight", DType::kF32, {4, kHidden});
  };
  for (const std::string suffix : {"", ".weight"}) {
    for (const std::string parts : {"experts.", "switch_mlp."}) {
      const Model stacked(
          base()
              .Count(at + parts + "gate_proj" + suffix, DType::kF32, {kStacked, kWidth, kHidden})
              .Count(at + parts + "up_proj" + suffix, DType::kF32, {kStacked, kWidth, kHidden},
                     10000)
              .Count(at + parts + "down_proj" + suffix, DType::kF32, {kStacked, kHidden, kWidth},
                     20000));
      ExpectExperts(stacked);
      EXPECT_EQ(stacked->layout(),
                parts == "switch_mlp." ? TensorSource::Layout::kMlx : TensorSource::Layout::kHf);
    }
    // Fused: gate rows, then up rows, expert after expert.
    std::vector<float> fused;
    for (uint64_t e = 0; e < kStacked; ++e) {
      for (const uint64_t first : {0, 10000}) {
        const auto part = Counting(first + e * kWidth * kHidden, kWidth * kHidden);
        fused.insert(fused.end(), part.begin(), part.end());
      }
    }
    ExpectExperts(
        Model(base()
                  .Add({at + "experts.gate_up_proj" + suffix,
                        DType::kF32,
                        {kStacked, 2 * kWidth, kHidden}},
                       std::string(reinterpret_cast<const char*>(fused.data()), fused.size() * 4))
                  .Count(at + "experts.down_proj" + suffix, DType::kF32,
                         {kStacked, kHidden, kWidth}, 20000)));
  }
  TestTensors single = base();
  for (uint32_t e = 0; e < kStacked; ++e) {
    const std::string expert = at + "experts." + std::to_string(e) + ".";
    const auto first = static_cast<uint32_t>(e * kWidth * kHidden);
    single.Count(expert + "gate_proj.weight", DType::kF32, {kWidth, kHidden}, first);
    single.Count(expert + "up_proj.weight", DType::kF32, {kWidth, kHidden}, 10000 + first);
    single.Count(expert + "down_proj.weight", DType::kF32, {kHidden, kWidth}, 20000 + first);
  }
  ExpectExperts(Model(single));
}

TEST(TensorSource, AffineExpertsAreSlicesOfTheThreeTensors) {
  const std::string at = "language_model.model.layers.0.mlp.";
  for (const std::string parts : {"switch_mlp.", "experts."}) {
    for (const uint64_t bits : {4, 8}) {
      const Model model(
          TestTensors()
              .Count("language_model.model.embed_tokens.weight", DType::kF32, {4, 64})
              .Affine(at + parts + "gate_proj", {kStacked, kWidth, kHidden}, bits, 32)
              .Affine(at + parts + "up_proj", {kStacked, kWidth, kHidden}, bits, 32)
              .Affine(at + parts + "down_proj", {kStacked, kHidden, kWidth}, bits, 32),
          Affine(static_cast<int>(bits), 32));
      ASSERT_EQ(model.error(), "");
      EXPECT_EQ(model->layout(), TensorSource::Layout::kMlx);
      for (uint32_t e = 0; e < kStacked; ++e) {
        const auto expert = model->Expert("layers.0.mlp", ExpertId{e}, kStacked, kHidden, kWidth);
        ASSERT_TRUE(expert.ok()) << expert.error().message;
        const uint64_t words = kWidth * kHidden * bits / 32;
        const uint64_t groups = kWidth * kHidden / 32;
        for (const MatrixSource* m : {&expert->gate, &expert->up, &expert->down}) {
          EXPECT_EQ(m->type, DType::kF32);
          EXPECT_EQ(m->bits, static_cast<int>(bits));
          EXPECT_EQ(m->group, 32);
          EXPECT_EQ(model.Words(m->weight), CountingWords(e * words, words));
          EXPECT_EQ(model.Floats(m->scales), Counting(7 + e * groups, groups));
          EXPECT_EQ(model.Floats(m->biases), Counting(9 + e * groups, groups));
        }
      }
    }
  }
}

TEST(TensorSource, BitsAndGroupsAreThoseOfTheModule) {
  const std::string config = Affine(
      4, 64,
      R"(,"mode":"affine","model.gate":{"group_size":32,"bits":8},"model.wide":{"group_size":128},)"
      R"("model.plain":false,"model.usual":true)");
  const Model model(TestTensors()
                        .Affine("model.embed_tokens", {4, 128}, 4, 64, DType::kBF16)
                        .Affine("model.gate", {4, 128}, 8, 32, DType::kF16)
                        .Affine("model.wide", {4, 128}, 4, 128)
                        .Affine("model.usual", {4, 128}, 4, 64)
                        .Count("model.plain.weight", DType::kBF16, {4, 128})
                        .Count("model.unlisted.weight", DType::kF16, {4, 128}),
                    config);
  ASSERT_EQ(model.error(), "");
  const auto check = [&](const char* module, int bits, int group, DType type) {
    const auto m = model->Matrix(module, 4, 128);
    ASSERT_TRUE(m.ok()) << m.error().message;
    EXPECT_EQ(m->bits, bits) << module;
    EXPECT_EQ(m->group, group) << module;
    EXPECT_EQ(m->type, type) << module;
    EXPECT_EQ(m->weight.bytes, bits == 0 ? 4 * 128 * 2u : 4 * 128 * bits / 8u) << module;
  };
  check("embed_tokens", 4, 64, DType::kBF16);
  check("gate", 8, 32, DType::kF16);
  check("wide", 4, 128, DType::kF32);
  check("usual", 4, 64, DType::kF32);
  check("plain", 0, 0, DType::kBF16);
  check("unlisted", 0, 0, DType::kF16);
}

// The message for one module "q" of [4, 128] with this config.
std::string AffineError(const TestTensors& tensors, const std::string& config) {
  const Model model(tensors, config);
  return model.error().empty() ? MessageOf(model->Matrix("q", 4, 128)) : model.error();
}

TEST(TensorSource, QuantizationIsCrossChecked) {
  const auto good = [] { return TestTensors().Affine("q", {4, 128}, 4, 64); };
  EXPECT_EQ(AffineError(good(), Affine(4, 64)), "ok");
  EXPECT_EQ(AffineError(good(), R"({"quantization_config":{"group_size":64,"bits":4}})"), "ok");
  EXPECT_HAS(AffineError(good(), "{}"), "config.json has no 'quantization'");
  EXPECT_HAS(AffineError(good(), R"({"quantization_config":{"quant_method":"fp8"}})"),
             "config.json has no 'quantization'");
  EXPECT_HAS(AffineError(good(), Affine(8, 64)),
             "weight [4, 16], scales [4, 2] and biases [4, 2], expected [4, 32], [4, 2] and [4, 2] "
             "for [4, 128] at 8 bits in groups of 64 (config.json)");
  EXPECT_HAS(AffineError(good(), Affine(4, 32)), "expected [4, 16], [4, 4] and [4, 4]");
  EXPECT_HAS(AffineError(good(), Affine(4, 64, R"(,"q":false)")), "says false for it");
  EXPECT_HAS(AffineError(good(), Affine(4, 64, R"(,"q":{"bits":8})")), "at 8 bits");
  for (const auto& [bits, group] : {std::pair(2, 64),
                                    {3, 64},
                                    {5, 64},
                                    {6, 64},
                                    {16, 64},
                                    {0, 64},
                                    {-4, 64},
                                    {4, 16},
                                    {4, 0},
                                    {4, -64},
                                    {4, 256}}) {
    const std::string message = AffineError(good(), Affine(bits, group));
    EXPECT_HAS(message,
               "with " + std::to_string(bits) + " bits in groups of " + std::to_string(group));
  }
  EXPECT_HAS(AffineError(good(), Affine(4, 64, R"(,"mode":"mxfp4")")),
             "in mode 'mxfp4'; Mach reads mode 'affine'");
  EXPECT_HAS(AffineError(good(), R"({"quantization":[]})"), "'quantization' is array");
  EXPECT_HAS(AffineError(good(), R"({"quantization":{"bits":"4"}})"),
             "config.json: 'quantization': 'bits' is string");
  EXPECT_HAS(AffineError(good(), Affine(4, 64, R"(,"x":{"bits":[]})")),
             "config.json: 'quantization' of 'x': 'bits' is array");
  // Modules of other modes in a model whose own entries name none.
  EXPECT_EQ(AffineError(good(), Affine(8, 32, R"(,"mode":"mxfp8","q":{"bits":4,"group_size":64})")),
            "ok");

  const auto without = [](std::string_view gone) {
    const TestTensors all = TestTensors().Affine("q", {4, 128}, 4, 64);
    TestTensors rest;
    for (const TensorSpec& spec : all.specs()) {
      if (spec.name != gone) rest.Count(spec.name, spec.dtype, spec.shape);
    }
    return rest;
  };
  EXPECT_HAS(AffineError(without("q.scales"), Affine(4, 64)), "there is no 'q.scales'");
  EXPECT_HAS(AffineError(without("q.biases"), Affine(4, 64)), "without '.biases'");
  EXPECT_HAS(AffineError(without("q.weight"), Affine(4, 64)), "has no tensor 'q.weight'");
  EXPECT_HAS(
      AffineError(without("q.biases").Count("q.biases", DType::kBF16, {4, 2}), Affine(4, 64)),
      "scales are F32 and biases BF16, expected both");
  EXPECT_HAS(AffineError(without("q.biases").Count("q.biases", DType::kF32, {4, 1}), Affine(4, 64)),
             "biases [4, 1]");
  EXPECT_HAS(
      AffineError(without("q.weight").Count("q.weight", DType::kF32, {4, 16}), Affine(4, 64)),
      "expected packed U32");
  EXPECT_HAS(AffineError(TestTensors()
                             .Count("q.weight", DType::kU32, {4, 16})
                             .Count("q.scales", DType::kU8, {4, 2})
                             .Count("q.biases", DType::kU8, {4, 2}),
                         Affine(4, 64)),
             "scales are U8");
  const Model narrow(TestTensors().Affine("q", {4, 96}, 4, 32), Affine(4, 64));
  EXPECT_HAS(MessageOf(narrow->Matrix("q", 4, 96)), "groups of 64 do not divide the 96 columns");
}

TEST(TensorSource, ShapesAndTypesAreThoseOfTheConfig) {
  const Model model(TestTensors()
                        .Count("model.embed_tokens.weight", DType::kF32, {4, 2})
                        .Count("model.f8.weight", DType::kF8E4M3, {4, 2})
                        .Count("model.ints.weight", DType::kI32, {4, 2})
                        .Count("model.empty.weight", DType::kF32, {0, 2})
                        .Count("model.mlp.experts.down_proj", DType::kF32, {2, 2, 4}));
  ASSERT_EQ(model.error(), "");
  EXPECT_EQ(MessageOf(model->Matrix("embed_tokens", 4, 3)),
            "'model.embed_tokens.weight' is F32 [4, 2], expected [4, 3] (from config.json)");
  EXPECT_HAS(MessageOf(model->Matrix("gone", 4, 2)), "'m' has no tensor 'model.gone.weight'");
  for (const auto& [name, type] : {std::pair("f8", "F8_E4M3"), {"ints", "I32"}}) {
    const auto m = model->Matrix(name, 4, 2);
    ASSERT_FALSE(m.ok());
    EXPECT_EQ(m.error().code, Code::kUnsupported);
    EXPECT_HAS(m.error().message, "' is " + std::string(type) + " [4, 2]; Mach reads F32");
  }
  EXPECT_HAS(MessageOf(model->Matrix("empty", 0, 2)), "a size of 0");
  EXPECT_HAS(MessageOf(model->Matrix("embed_tokens", uint64_t{1} << 62, 8)), "a size of 46116860");
  EXPECT_HAS(MessageOf(model->Expert("mlp", ExpertId{0}, 2, 2, 4)),
             "has no tensor 'model.mlp.experts.0.gate_proj.weight'");
}

TEST(TensorSource, SmallTensorsBecomeFloats) {
  const Model model(TestTensors()
                        .Count("norm.weight", DType::kBF16, {3}, 5)
                        .Count("A_log", DType::kF16, {3}, 1)
                        .Count("ints", DType::kI32, {3})
                        .Count("matrix", DType::kF32, {3, 1}));
  ASSERT_EQ(model.error(), "");
  EXPECT_EQ(*model->Vector("norm", 3), Counting(5, 3));
  EXPECT_EQ(*model->Vector("A_log", 3), Counting(1, 3));
  EXPECT_EQ(*model->Norm("norm", 3, true), Counting(6, 3));
  EXPECT_EQ(*model->Norm("norm", 3, false), Counting(5, 3));
  EXPECT_EQ(MessageOf(model->Vector("A_log", 4)),
            "'A_log' is F16 [3], expected [4] (from config.json)");
  EXPECT_HAS(MessageOf(model->Vector("matrix", 3)), "is F32 [3, 1], expected [3]");
  EXPECT_EQ(model->Vector("ints", 3).error().code, Code::kUnsupported);
  EXPECT_HAS(MessageOf(model->Vector("gone", 3)), "has no tensor 'gone', with or without");
  // The headers tell as much.
  EXPECT_TRUE(model->CheckVector("norm", 3).ok());
  for (const auto& [name, elements] :
       {std::pair{"A_log", 4}, {"matrix", 3}, {"ints", 3}, {"gone", 3}}) {
    const auto read = model->Vector(name, static_cast<uint64_t>(elements));
    const auto checked = model->CheckVector(name, static_cast<uint64_t>(elements));
    ASSERT_FALSE(checked.ok()) << name;
    EXPECT_EQ(checked.error().message, read.error().message);
  }
}

TEST(TensorSource, ConvolutionsTellTheLayouts) {
  // channel c, tap k has the value 4c + k in both.
  const std::vector<float> taps_major = {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11};
  const auto with = [](std::vector<Shape> convs, bool switch_mlp) {
    TestTensors t;
    t.Count("norm.weight", DType::kF32, {3}, 5);
    for (size_t i = 0; i < convs.size(); ++i) {
      t.Count("layers." + std::to_string(i) + ".conv1d.weight", DType::kF32, convs[i]);
    }
    if (switch_mlp) t.Count("layers.0.mlp.switch_mlp.up_proj.weight", DType::kF32, {1, 1, 1});
    return t;
  };
  const Model hf(with({{3, 1, 4}, {3, 1, 4}}, true));
  EXPECT_EQ(hf->layout(), TensorSource::Layout::kHf);
  EXPECT_EQ(*hf->Conv("layers.0.conv1d", 3, 4), taps_major);
  EXPECT_EQ(*hf->Norm("norm", 3, true), Counting(6, 3));

  const Model mlx(with({{3, 4, 1}, {3, 4, 1}}, false));  // dense, without switch_mlp
  EXPECT_EQ(mlx->layout(), TensorSource::Layout::kMlx);
  EXPECT_EQ(*mlx->Conv("layers.1.conv1d", 3, 4), taps_major);
  EXPECT_EQ(*mlx->Norm("norm", 3, true), Counting(5, 3));
  EXPECT_HAS(MessageOf(mlx->Conv("layers.0.conv1d", 4, 3)),
             "'layers.0.conv1d.weight' is F32 [3, 4, 1], expected [4, 1, 3] or [4, 3, 1]");
  EXPECT_TRUE(mlx->CheckConv("layers.0.conv1d", 3, 4).ok());
  EXPECT_EQ(MessageOf(mlx->CheckConv("layers.0.conv1d", 4, 3)),
            MessageOf(mlx->Conv("layers.0.conv1d", 4, 3)));

  EXPECT_EQ(Model(with({}, true))->layout(), TensorSource::Layout::kMlx);
  EXPECT_EQ(Model(with({}, false))->layout(), TensorSource::Layout::kHf);
  EXPECT_HAS(Model(with({{3, 4, 1}, {3, 1, 4}}, false)).error(), "expected one layout");
}

// Everything that a source reads, on a real disk, with a fault at each read in turn.
TEST(TensorSource, EveryFailingReadIsAnErrorWithTheTensorsName) {
  const std::string dir = testing::TempDir() + "mach_tensor_source_faults";
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  std::ofstream(dir + "/config.json") << Affine(4, 32);
  ASSERT_TRUE(TestTensors()
                  .Count("model.norm.weight", DType::kF32, {64}, 5)
                  .Count("model.layers.0.conv1d.weight", DType::kF32, {3, 4, 1})
                  .Affine("model.embed_tokens", {4, 64}, 4, 32)
                  .WriteTo(dir + "/model.safetensors")
                  .ok());
  const auto read_all = [&](FileSystem& fs) -> Result<uint64_t> {
    MACH_TRY(const auto checkpoint, Checkpoint::Open(fs, dir));
    MACH_TRY(const TensorSource source, TensorSource::Create(*checkpoint));
    MACH_TRY(const auto norm, source.Norm("norm", 64, true));
    MACH_TRY(const auto conv, source.Conv("layers.0.conv1d", 3, 4));
    MACH_TRY(const MatrixSource m, source.Matrix("embed_tokens", 4, 64));
    uint64_t bytes = 4 * (norm.size() + conv.size());
    for (const Slice& slice : {m.weight, m.scales, m.biases}) {
      std::vector<std::byte> data(slice.bytes);
      MACH_RETURN_IF_ERROR(checkpoint->Read(slice, data));
      bytes += data.size();
    }
    return bytes;
  };
  uint64_t n = 1;
  for (;; ++n) {
    FaultFileSystem fs(PosixFileSystem(), {.fail_read = n, .max_read = 100});
    const auto read = read_all(fs);
    EXPECT_EQ(fs.open_files(), 0);
    if (read.ok()) {
      EXPECT_EQ(*read, 64 * 4 + 12 * 4 + 128 + 32 + 32u);
      break;
    }
    EXPECT_EQ(read.error().code, Code::kIo);
    EXPECT_HAS(read.error().message, "injected");
  }
  EXPECT_GT(n, 8u);
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace mach::io
