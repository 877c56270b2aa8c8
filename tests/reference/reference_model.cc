#include "reference/reference_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "reference/reference_weights.h"

namespace mach::reference {
namespace {

using Vec = std::vector<double>;
using Rows = std::vector<Vec>;  // one per token

double Dot(std::span<const double> a, std::span<const double> b) {
  MACH_CHECK(a.size() == b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double Silu(double x) { return x * Sigmoid(x); }
double Softplus(double x) { return x > 20 ? x : std::log1p(std::exp(x)); }

// y[t] = W x[t] + b
Rows Apply(const Matrix& weight, const Vec& bias, const Rows& x) {
  Rows y(x.size(), Vec(weight.rows()));
  for (size_t r = 0; r < weight.rows(); ++r) {
    const Vec row = weight.Row(r);
    for (size_t t = 0; t < x.size(); ++t) y[t][r] = Dot(row, x[t]) + (bias.empty() ? 0 : bias[r]);
  }
  return y;
}
Rows Apply(const Matrix& weight, const Rows& x) { return Apply(weight, {}, x); }
Rows Apply(const Linear& linear, const Rows& x) { return Apply(linear.weight, linear.bias, x); }

// x / sqrt(mean(x^2) + eps) * w, in place
void RmsNorm(std::span<double> x, const Vec& w, double eps) {
  const double mean = Dot(x, x) / static_cast<double>(x.size());
  const double scale = 1 / std::sqrt(mean + eps);
  for (size_t i = 0; i < x.size(); ++i) x[i] *= scale * w[i];
}

Rows Normed(Rows x, const Vec& w, double eps) {
  for (Vec& row : x) RmsNorm(row, w, eps);
  return x;
}

void Add(Rows& x, const Rows& y) {
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t i = 0; i < x[t].size(); ++i) x[t][i] += y[t][i];
  }
}

Vec Softmax(Vec x) {
  const double most = *std::max_element(x.begin(), x.end());
  for (double& v : x) v = std::exp(v - most);
  const double sum = std::accumulate(x.begin(), x.end(), 0.0);
  for (double& v : x) v /= sum;
  return x;
}

Rows SwiGlu(const Mlp& mlp, const Rows& x) {
  Rows gate = Apply(mlp.gate, x);
  const Rows up = Apply(mlp.up, x);
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t i = 0; i < gate[t].size(); ++i) gate[t][i] = Silu(gate[t][i]) * up[t][i];
  }
  return Apply(mlp.down, gate);
}

// Element i of the first n pairs with element i + n / 2; the rest of the head stays.
void Rotate(std::span<double> head, size_t n, double theta, size_t position) {
  for (size_t i = 0; i < n / 2; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(n);
    const double angle = static_cast<double>(position) * std::pow(theta, exponent);
    const double a = head[i];
    const double b = head[i + n / 2];
    head[i] = a * std::cos(angle) - b * std::sin(angle);
    head[i + n / 2] = b * std::cos(angle) + a * std::sin(angle);
  }
}

std::span<double> Head(Vec& row, size_t h, size_t d) { return std::span(row).subspan(h * d, d); }
Rows Attention(const Config& c, const AttentionWeights& w, const Rows& x) {
  const size_t d = c.head_dim;
  const bool gated = c.family == Family::kQwen3_5Moe;
  const Rows projected = Apply(w.q, x);
  Rows q(x.size(), Vec(c.heads * d));
  Rows gate = q;
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t h = 0; h < c.heads; ++h) {
      for (size_t i = 0; i < d; ++i) {
        q[t][h * d + i] = projected[t][h * (gated ? 2 * d : d) + i];
        if (gated) gate[t][h * d + i] = projected[t][h * 2 * d + d + i];
      }
    }
  }
  Rows k = Apply(w.k, x);
  const Rows v = Apply(w.v, x);
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t h = 0; h < c.heads; ++h) {
      RmsNorm(Head(q[t], h, d), w.q_norm, c.norm_eps);
      Rotate(Head(q[t], h, d), c.rotary_dims, c.rope_theta, t);
    }
    for (size_t h = 0; h < c.kv_heads; ++h) {
      RmsNorm(Head(k[t], h, d), w.k_norm, c.norm_eps);
      Rotate(Head(k[t], h, d), c.rotary_dims, c.rope_theta, t);
    }
  }
  Rows out(x.size(), Vec(c.heads * d));
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t h = 0; h < c.heads; ++h) {
      const size_t kv = h / (c.heads / c.kv_heads);
      Vec scores(t + 1);
      for (size_t j = 0; j <= t; ++j) {
        scores[j] = Dot(Head(q[t], h, d), Head(k[j], kv, d)) / std::sqrt(static_cast<double>(d));
      }
      const Vec p = Softmax(std::move(scores));
      const std::span<double> o = Head(out[t], h, d);
      for (size_t j = 0; j <= t; ++j) {
        for (size_t i = 0; i < d; ++i) o[i] += p[j] * v[j][kv * d + i];
      }
      for (size_t i = 0; gated && i < d; ++i) o[i] *= Sigmoid(gate[t][h * d + i]);
    }
  }
  return Apply(w.o, out);
}

// silu of the causal convolution of each channel; the last tap meets the current token.
Rows Convolved(const Vec& conv, size_t kernel, const Rows& u) {
  Rows out = u;
  for (size_t t = 0; t < u.size(); ++t) {
    for (size_t ch = 0; ch < u[t].size(); ++ch) {
      double sum = 0;
      for (size_t j = 0; j < kernel; ++j) {
        if (t + j + 1 >= kernel) sum += conv[ch * kernel + j] * u[t + j + 1 - kernel][ch];
      }
      out[t][ch] = Silu(sum);
    }
  }
  return out;
}

// x / sqrt(sum(x^2) + 1e-6) * scale
Vec L2Normed(std::span<const double> x, double scale) {
  const double factor = scale / std::sqrt(Dot(x, x) + 1e-6);
  Vec out(x.begin(), x.end());
  for (double& v : out) v *= factor;
  return out;
}

Rows DeltaNet(const Config& c, const DeltaNetWeights& w, const Rows& x) {
  const size_t dk = c.key_dim;
  const size_t dv = c.value_dim;
  const size_t keys = c.key_heads * dk;
  const Rows mixed = Convolved(w.conv, c.conv_kernel, Apply(w.qkv, x));
  const Rows z = Apply(w.z, x);
  const Rows b = Apply(w.b, x);
  const Rows a = Apply(w.a, x);
  Rows out(x.size(), Vec(c.value_heads * dv));
  for (size_t h = 0; h < c.value_heads; ++h) {
    const size_t key_head = h / (c.value_heads / c.key_heads);
    Rows state(dk, Vec(dv));
    for (size_t t = 0; t < x.size(); ++t) {
      const std::span<const double> row(mixed[t]);
      const Vec q =
          L2Normed(row.subspan(key_head * dk, dk), 1 / std::sqrt(static_cast<double>(dk)));
      const Vec k = L2Normed(row.subspan(keys + key_head * dk, dk), 1);
      const std::span<const double> v = row.subspan(2 * keys + h * dv, dv);
      const double beta = Sigmoid(b[t][h]);
      const double decay = std::exp(-std::exp(w.a_log[h]) * Softplus(a[t][h] + w.dt_bias[h]));
      Vec o(dv);
      for (size_t j = 0; j < dv; ++j) {
        double recalled = 0;
        for (size_t i = 0; i < dk; ++i) {
          state[i][j] *= decay;
          recalled += state[i][j] * k[i];
        }
        const double delta = beta * (v[j] - recalled);
        for (size_t i = 0; i < dk; ++i) {
          state[i][j] += k[i] * delta;
          o[j] += state[i][j] * q[i];
        }
      }
      RmsNorm(o, w.norm, c.norm_eps);
      for (size_t j = 0; j < dv; ++j) out[t][h * dv + j] = o[j] * Silu(z[t][h * dv + j]);
    }
  }
  return Apply(w.out, out);
}

struct Routing {
  std::vector<size_t> experts;  // in order of falling probability
  Vec weights;
  double gap = 1;
};

Routing Route(const Config& c, const Vec& logits) {
  const Vec p = Softmax(logits);
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return p[i] > p[j]; });
  Routing r;
  for (size_t i = 0; i < c.top_k && i + 1 < order.size(); ++i) {
    r.gap = std::min(r.gap, p[order[i]] - p[order[i + 1]]);
  }
  order.resize(c.top_k);
  r.experts = order;
  double sum = 0;
  for (const size_t e : order) sum += p[e];
  for (const size_t e : order) r.weights.push_back(c.norm_topk ? p[e] / sum : p[e]);
  return r;
}

Rows Moe(const Config& c, const MoeWeights& w, const Rows& x, size_t layer, Output& seen) {
  std::vector<Routing> routes;
  for (const Vec& logits : Apply(w.router, x)) {
    routes.push_back(Route(c, logits));
    for (const size_t e : routes.back().experts) {
      seen.experts[layer].push_back(static_cast<int32_t>(e));
    }
    seen.router_gaps[layer].push_back(routes.back().gap);
  }
  Rows out(x.size(), Vec(c.hidden));
  for (size_t e = 0; e < c.experts; ++e) {
    Rows inputs;
    std::vector<std::pair<size_t, double>> users;  // token, weight
    for (size_t t = 0; t < x.size(); ++t) {
      for (size_t i = 0; i < c.top_k; ++i) {
        if (routes[t].experts[i] != e) continue;
        inputs.push_back(x[t]);
        users.emplace_back(t, routes[t].weights[i]);
      }
    }
    if (inputs.empty()) continue;
    const Rows results = SwiGlu(w.experts[e], inputs);
    for (size_t n = 0; n < users.size(); ++n) {
      const auto [t, weight] = users[n];
      for (size_t i = 0; i < c.hidden; ++i) out[t][i] += weight * results[n][i];
    }
  }
  if (w.shared) {
    const Rows shared = SwiGlu(*w.shared, x);
    const Rows gate = Apply(*w.shared_gate, x);
    for (size_t t = 0; t < x.size(); ++t) {
      for (size_t i = 0; i < c.hidden; ++i) out[t][i] += Sigmoid(gate[t][0]) * shared[t][i];
    }
  }
  return out;
}

Vec Flat(const Rows& x) {
  Vec flat;
  for (const Vec& row : x) flat.insert(flat.end(), row.begin(), row.end());
  return flat;
}

}  // namespace

struct ReferenceModel::Weights {
  Config config;
  ModelWeights values;
};

ReferenceModel::ReferenceModel() : weights_(std::make_unique<Weights>()) {}
ReferenceModel::ReferenceModel(ReferenceModel&&) noexcept = default;
ReferenceModel& ReferenceModel::operator=(ReferenceModel&&) noexcept = default;
ReferenceModel::~ReferenceModel() = default;

const Config& ReferenceModel::config() const { return weights_->config; }

Result<ReferenceModel> ReferenceModel::Load(const std::string& directory) {
  MACH_TRY(const json::Value root, ReadConfigFile(directory));
  ReferenceModel model;
  MACH_TRY(model.weights_->config, ParseConfig(root));
  MACH_TRY(CheckpointTensors tensors, CheckpointTensors::Open(directory, root));
  MACH_TRY(model.weights_->values, LoadWeights(tensors, model.config()));
  return model;
}

Output ReferenceModel::Forward(std::span<const int32_t> tokens) const {
  const Config& c = config();
  const ModelWeights& w = weights_->values;
  Output out;
  out.experts.resize(c.layers.size());
  out.router_gaps.resize(c.layers.size());
  Rows x;
  for (const int32_t token : tokens) x.push_back(w.embedding.Row(static_cast<size_t>(token)));
  out.hidden.push_back(Flat(x));
  for (size_t i = 0; i < c.layers.size(); ++i) {
    const LayerWeights& layer = w.layers[i];
    const Rows n = Normed(x, layer.input_norm, c.norm_eps);
    Add(x, layer.attention ? Attention(c, *layer.attention, n) : DeltaNet(c, *layer.delta_net, n));
    const Rows m = Normed(x, layer.post_norm, c.norm_eps);
    Add(x, layer.moe ? Moe(c, *layer.moe, m, i, out) : SwiGlu(*layer.dense, m));
    if (i + 1 < c.layers.size()) out.hidden.push_back(Flat(x));
  }
  x = Normed(std::move(x), w.final_norm, c.norm_eps);
  out.hidden.push_back(Flat(x));
  out.logits = Flat(Apply(w.head, x));
  return out;
}

}  // namespace mach::reference
