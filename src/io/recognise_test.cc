#include "io/recognise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/checkpoint.h"
#include "io/lfs_pointer.h"
#include "io/testing/fault_file_system.h"
#include "io/testing/memory_file_system.h"
#include "io/testing/test_checkpoint.h"
#include "json/parse.h"
#include "tensor/dtype.h"

namespace mach::io {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kPointer =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 4998530000\n";

json::Value Json(std::string_view text) {
  auto value = json::Parse(text);
  EXPECT_TRUE(value.ok());
  return *std::move(value);
}

class RecogniseTest : public testing::Test {
 protected:
  // A checkpoint that opens.
  void PutModel(const std::string& directory, const std::string& config = R"({"model_type":"x"})") {
    fs_.Put(directory + "/config.json", config);
    fs_.Put(directory + "/model.safetensors",
            TestTensors().Count("t", tensor::DType::kF32, {2}).Bytes());
  }
  std::string Kind(const std::string& path) {
    const auto found = RecogniseOther(fs_, path);
    return found ? std::string(found->kind) : "";
  }
  std::string Message(const std::string& path) {
    const auto found = RecogniseOther(fs_, path);
    return found ? found->error.message : "";
  }
  std::string Quantization(const std::string& config) {
    const auto error = RecogniseQuantization(fs_, "m", Json(config));
    return error ? error->message : "";
  }
  std::string Role(const std::string& path, const std::string& config, Wanted wanted) {
    const auto error = RecogniseRole(fs_, path, Json(config), wanted);
    return error ? error->message : "";
  }

  MemoryFileSystem fs_;
};

TEST_F(RecogniseTest, ACheckpointIsNothingElse) {
  PutModel("m");
  EXPECT_EQ(Kind("m"), "");
  EXPECT_EQ(Kind("m/"), "");
  EXPECT_EQ(Kind(""), "");
  fs_.Put("m/model.safetensors", "damaged");
  EXPECT_EQ(Kind("m"), "");
  fs_.Put("m/extra.gguf", "GGUF");
  fs_.Put("m/training_args.bin", "PK");
  EXPECT_EQ(Kind("m"), "");
}

TEST_F(RecogniseTest, IdsOfRepositories) {
  for (const char* id : {"Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B/", "Qwen/Qwen3-30B-A3B:Q4_K_M",
                         "https://huggingface.co/Qwen/Qwen3-30B-A3B",
                         "https://huggingface.co/Qwen/Qwen3-30B-A3B/tree/main",
                         "huggingface.co/Qwen/Qwen3-30B-A3B", "hf.co/Qwen/Qwen3-30B-A3B:Q4_K_M"}) {
    EXPECT_EQ(Kind(id), "hub id") << id;
    EXPECT_THAT(Message(id), AllOf(HasSubstr("looks like the id of a Hugging Face repository"),
                                   HasSubstr("'hf download Qwen/Qwen3-30B-A3B --local-dir models/"
                                             "Qwen3-30B-A3B'"),
                                   HasSubstr("git lfs install && git clone "
                                             "https://huggingface.co/Qwen/Qwen3-30B-A3B models/"),
                                   HasSubstr("then give 'models/Qwen3-30B-A3B'")));
  }
  PutModel("models/Qwen3-30B-A3B");
  EXPECT_THAT(Message("Qwen/Qwen3-30B-A3B"), HasSubstr("in 'models/Qwen3-30B-A3B': give that"));
  // A path whose first name is there is a path.
  EXPECT_NE(Kind("models/other"), "hub id");
  for (const char* no : {"a/b/c", "/a/b", "./a/b", "../b", "a b/c", "a/", "-a/b", ".a/b"}) {
    EXPECT_NE(Kind(no), "hub id") << no;
  }
}

TEST_F(RecogniseTest, NamesOfOllama) {
  EXPECT_EQ(Kind("qwen3:30b-a3b"), "ollama name");
  EXPECT_THAT(Message("qwen3:30b"), HasSubstr("model's name of Ollama"));
  EXPECT_EQ(Kind("qwen3"), "missing");
  EXPECT_EQ(Kind("a:b:c"), "missing");
}

TEST_F(RecogniseTest, WhatIsMissing) {
  PutModel("models/mach-tiny");
  PutModel("/abs/Some-Model");
  EXPECT_EQ(Message("models/mach-tny"),
            "there is no directory 'models/mach-tny'; did you mean 'models/mach-tiny'?");
  EXPECT_THAT(Message("modles/mach-tiny"), HasSubstr("did you mean 'models/mach-tiny'?"));
  EXPECT_THAT(Message("/abs/some-model"), HasSubstr("did you mean '/abs/Some-Model'?"));
  EXPECT_EQ(Kind("models/quite-another"), "missing");
  EXPECT_THAT(Message("models/quite-another"),
              AllOf(HasSubstr("there is no directory 'models/quite-another'"),
                    HasSubstr("expected the directory of a model"), HasSubstr("hf download")));
  EXPECT_EQ(Kind("~/models/x"), "tilde");
  EXPECT_THAT(Message("~/models/x"), HasSubstr("write \"$HOME/models/x\""));
}

TEST_F(RecogniseTest, WhatIsOneFile) {
  PutModel("m");
  fs_.Put("alone/model-00001-of-00004.safetensors", "x");
  fs_.Put("g/model.gguf", "GGUF....");
  fs_.Put("g/named-otherwise", "GGUF....");
  fs_.Put("g/empty", "");
  fs_.Put("p/pytorch_model.bin", "PK");
  EXPECT_EQ(Message("m/model.safetensors"),
            "'m/model.safetensors' is one file of a checkpoint; give its directory, 'm'");
  EXPECT_EQ(Kind("m/config.json"), "one file");
  EXPECT_THAT(Message("alone/model-00001-of-00004.safetensors"),
              AllOf(HasSubstr("give its directory, 'alone', which must hold config.json"),
                    HasSubstr("download the rest")));
  for (const char* path : {"g/model.gguf", "g/named-otherwise"}) {
    EXPECT_EQ(Kind(path), "gguf");
    EXPECT_THAT(Message(path), AllOf(HasSubstr("is a GGUF file, which mach does not read yet"),
                                     HasSubstr("safetensors in BF16, F16 or F32, or MLX affine")));
  }
  EXPECT_EQ(Kind("p/pytorch_model.bin"), "pytorch");
  EXPECT_EQ(Kind("g/empty"), "file");
  EXPECT_THAT(Message("g/empty"), HasSubstr("'g/empty' is a file; expected the directory"));
}

TEST_F(RecogniseTest, WhatIsADirectoryOfSomethingElse) {
  fs_.MakeDirectory("empty");
  EXPECT_THAT(Message("empty"), AllOf(HasSubstr("'empty' is an empty directory"),
                                      HasSubstr("--local-dir empty' fills it")));
  fs_.Put("g/model.gguf", "GGUF");
  fs_.Put("g/README.md", "");
  EXPECT_THAT(Message("g"), HasSubstr("'g' holds GGUF ('model.gguf'), which mach does not read"));
  fs_.Put("g/config.json", "{}");
  EXPECT_EQ(Kind("g"), "gguf");
  fs_.Put("p/config.json", "{}");
  fs_.Put("p/pytorch_model.bin", "PK");
  EXPECT_THAT(Message("p"), AllOf(HasSubstr("holds a PyTorch checkpoint ('pytorch_model.bin')"),
                                  HasSubstr("safe_serialization=True")));
  fs_.Put("o/consolidated.00.pth", "PK");
  fs_.Put("o/params.json", "{}");
  EXPECT_EQ(Kind("o"), "pytorch");
  fs_.Put("l/adapter_config.json", "{}");
  fs_.Put("l/adapter_model.safetensors", "x");
  EXPECT_THAT(Message("l"), HasSubstr("is an adapter (LoRA)"));
  fs_.Put("d/model_index.json", "{}");
  fs_.Put("d/unet/config.json", "{}");
  EXPECT_EQ(Kind("d"), "diffusers");
  fs_.Put("n/model.safetensors", "x");
  EXPECT_THAT(Message("n"), HasSubstr("has *.safetensors files but no config.json"));
  fs_.Put("x/README.md", "");
  EXPECT_THAT(Message("x"), HasSubstr("'x' has no config.json; expected the directory of a model"));
  PutModel("m");
  fs_.Put("m/expert_sidecar/manifest.json", "{}");
  fs_.Put("m/expert_sidecar/index.bin", "x");
  EXPECT_THAT(Message("m/expert_sidecar"), AllOf(HasSubstr("is an expert sidecar"),
                                                 HasSubstr("give the model's directory, 'm'")));
  fs_.Put("away/manifest.json", "{}");
  fs_.Put("away/index.bin", "x");
  EXPECT_THAT(Message("away"), HasSubstr("and '--sidecar-dir away' beside it"));
}

TEST_F(RecogniseTest, OneLevelTooHigh) {
  PutModel("one/m");
  fs_.Put("one/README.md", "");
  EXPECT_EQ(Message("one"), "'one' has no config.json, but 'one/m' has one: give that");
  // Drafters are named where there is nothing else.
  PutModel("one/m-dflash", R"({"architectures":["DFlashDraftModel"]})");
  EXPECT_THAT(Message("one"), HasSubstr("but 'one/m' has one"));
  PutModel("drafts/d", R"({"dflash_config":{}})");
  EXPECT_THAT(Message("drafts"), HasSubstr("'drafts/d' has one"));
  for (const char* name : {"a", "b", "c", "d"}) PutModel(std::string("many/") + name);
  EXPECT_THAT(Message("many"),
              HasSubstr("4 directories in it have: 'many/a', 'many/b', 'many/c', ...; give one"));
}

TEST_F(RecogniseTest, FoldersOfTheHubsCache) {
  const std::string folder = "hub/models--Qwen--Qwen3--30B";
  PutModel(folder + "/snapshots/abc");
  PutModel(folder + "/snapshots/xyz");
  EXPECT_EQ(HubCacheId(folder), "Qwen/Qwen3--30B");
  EXPECT_EQ(HubCacheId("models--x"), "");
  EXPECT_THAT(Message(folder), HasSubstr("give '" + folder + "/snapshots/xyz'"));
  fs_.Put(folder + "/refs/main", "abc\n");
  EXPECT_THAT(Message(folder), HasSubstr("give '" + folder + "/snapshots/abc'"));
  fs_.Put(folder + "/refs/main", "gone");
  EXPECT_THAT(Message(folder), HasSubstr("give '" + folder + "/snapshots/xyz'"));
  EXPECT_EQ(Kind("hub"), "hub cache root");
  EXPECT_THAT(Message("hub"), HasSubstr("give a snapshot in it: '" + folder + "/snapshots/xyz'"));
  EXPECT_EQ(Kind(folder + "/snapshots"), "one level up");
  fs_.Put("hub/models--A--B/snapshots/h/tokenizer.json", "{}");
  EXPECT_THAT(Message("hub/models--A--B"), HasSubstr("'hf download A/B' goes on with it"));
}

TEST_F(RecogniseTest, WhatCannotBeSeenIsNotRecognised) {
  PutModel("m");
  for (const bool persistent : {false, true}) {
    FaultFileSystem faults(fs_, {.fail_open = 1, .persistent = persistent});
    EXPECT_FALSE(RecogniseOther(faults, "m").has_value());
  }
}

TEST_F(RecogniseTest, QuantizedFormatsOfOthers) {
  const std::pair<const char*, const char*> methods[] = {
      {"awq", "AWQ"},
      {"gptq", "GPTQ"},
      {"compressed-tensors", "compressed-tensors"},
      {"bitsandbytes", "bitsandbytes"},
      {"fp8", "FP8"},
      {"mxfp4", "MXFP4"},
      {"modelopt", "ModelOpt"},
      {"auto-round", "AutoRound"},
      {"something-new", "'something-new'"},
  };
  for (const auto& [method, known_as] : methods) {
    const std::string config = R"({"quantization_config":{"quant_method":")" + std::string(method) +
                               R"(","bits":4,"group_size":128}})";
    EXPECT_THAT(Quantization(config),
                AllOf(HasSubstr("'m' is quantized as " + std::string(known_as)),
                      HasSubstr(", 4 bit ('quantization_config' in config.json)"),
                      HasSubstr("reads safetensors in BF16, F16 or F32, or MLX affine 4 and 8 bit"),
                      HasSubstr("download")));
    EXPECT_NE(Quantization(R"({"text_config":)" + config + "}"), "");
  }
  EXPECT_EQ(Quantization("{}"), "");
  EXPECT_EQ(Quantization(R"({"quantization_config":null})"), "");
  fs_.Put("m/quantize_config.json", "{}");
  EXPECT_THAT(Quantization("{}"), HasSubstr("GPTQ (AutoGPTQ) (quantize_config.json is there)"));
}

TEST_F(RecogniseTest, OtherWidthsOfMlx) {
  for (const char* key : {"quantization", "quantization_config"}) {
    const auto with = [&](const std::string& fields) {
      return Quantization(R"({")" + std::string(key) + R"(":{"group_size":64)" + fields + "}}");
    };
    for (const char* bits : {"2", "3", "5", "6"}) {
      EXPECT_THAT(
          with(R"(,"bits":)" + std::string(bits)),
          HasSubstr("quantized as MLX affine " + std::string(bits) + " bit ('" + key + "'"));
    }
    EXPECT_EQ(with(R"(,"bits":4)"), "");
    EXPECT_EQ(with(R"(,"bits":8,"mode":"affine","lm_head":false)"), "");
    EXPECT_THAT(with(R"(,"bits":4,"mode":"mxfp4")"), HasSubstr("quantized as MLX mxfp4"));
    // Where modules differ, the tensors decide.
    EXPECT_EQ(with(R"(,"bits":3,"lm_head":{"bits":4,"group_size":64})"), "");
  }
  // MLX's own key says what there is, whatever was there before the conversion.
  EXPECT_EQ(Quantization(R"({"quantization":{"bits":4,"group_size":64},
                             "quantization_config":{"quant_method":"fp8"}})"),
            "");
}

TEST_F(RecogniseTest, ModelsAndDraftersAreNotMistaken) {
  PutModel("models/m");
  const char* drafter = R"({"architectures":["DFlashDraftModel"],"model_type":"qwen3"})";
  const char* model = R"({"architectures":["Qwen3MoeForCausalLM"],"model_type":"qwen3_moe"})";
  EXPECT_THAT(Role("models/m-dflash", drafter, Wanted::kModel),
              AllOf(HasSubstr("'models/m-dflash' is a drafter (DFlash)"),
                    HasSubstr("give the model, 'models/m', and '--draft-dir models/m-dflash'")));
  EXPECT_THAT(Role("elsewhere/d", drafter, Wanted::kModel),
              HasSubstr("give the model and '--draft-dir elsewhere/d' beside it"));
  EXPECT_EQ(Role("models/m-dflash", drafter, Wanted::kDrafter), "");
  EXPECT_EQ(Role("models/m", model, Wanted::kModel), "");
  EXPECT_THAT(Role("models/m", model, Wanted::kDrafter),
              AllOf(HasSubstr("'models/m' is a model (Qwen3MoeForCausalLM), no drafter"),
                    HasSubstr("--target-only")));
  // Others are refused by their own names, where they are parsed.
  EXPECT_EQ(Role("e", R"({"architectures":["LlamaForCausalLMEagle3"]})", Wanted::kDrafter), "");
  EXPECT_EQ(Role("e", R"({"hidden_size":1})", Wanted::kDrafter), "");
}

TEST(LfsPointer, IsReadWhateverItsSize) {
  EXPECT_EQ(LfsPointerTarget(kPointer), uint64_t{4998530000});
  EXPECT_EQ(LfsPointerTarget("version https://git-lfs.github.com/spec/v1\n"), uint64_t{0});
  EXPECT_EQ(LfsPointerTarget("version https://git-lfs.github.com/spec/v1\nsize x\n"), uint64_t{0});
  EXPECT_EQ(LfsPointerTarget("{}"), std::nullopt);
  EXPECT_EQ(LfsPointerTarget(""), std::nullopt);
  EXPECT_EQ(LfsPointerTarget(kPointer + std::string(2000, 'x')), std::nullopt);
}

TEST_F(RecogniseTest, PointersAreNamedWhereverTheyAreRead) {
  const auto pointer_in = [&](const std::string& name) {
    return AllOf(HasSubstr("'m/" + name +
                           "' is a pointer of git lfs in place of the file, which "
                           "has 4.66 GiB"),
                 HasSubstr("run 'git lfs pull' in 'm'"));
  };
  const auto opened = [&] {
    const auto checkpoint = Checkpoint::Open(fs_, "m");
    return checkpoint ? "" : checkpoint.error().message;
  };
  for (const char* name : {"config.json", "model.safetensors", "generation_config.json"}) {
    PutModel("m");
    fs_.Put(std::string("m/") + name, kPointer);
    EXPECT_THAT(opened(), pointer_in(name));
    fs_.Erase(std::string("m/") + name);
  }
  PutModel("m");
  fs_.Put("m/model.safetensors.index.json", R"({"weight_map":{"t":"a.safetensors"}})");
  fs_.Put("m/a.safetensors", kPointer);
  EXPECT_THAT(opened(), pointer_in("a.safetensors"));
  fs_.Put("m/model.safetensors.index.json", kPointer);
  EXPECT_THAT(opened(), pointer_in("model.safetensors.index.json"));
  fs_.Erase("m/model.safetensors.index.json");
  const auto checkpoint = Checkpoint::Open(fs_, "m");
  ASSERT_TRUE(checkpoint.ok());
  fs_.Put("m/tokenizer.json", kPointer);
  EXPECT_THAT((*checkpoint)->ReadText("tokenizer.json", 1 << 20).error().message,
              pointer_in("tokenizer.json"));
  EXPECT_EQ(LfsPointerError("tokenizer.json", 0).message,
            "'tokenizer.json' is a pointer of git lfs in place of the file: the clone was made "
            "without its large files; run 'git lfs pull' in '.'");
}

// The config may be judged before any tensor file is opened.
TEST_F(RecogniseTest, TheConfigIsJudgedFirst) {
  fs_.Put("m/config.json", "{}");
  fs_.Put("m/model.safetensors", "damaged");
  const auto refused = Checkpoint::Open(fs_, "m", [](const json::Value&) {
    return Error{Code::kUnsupported, "not this one"};
  });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message, "not this one");
}

}  // namespace
}  // namespace mach::io
