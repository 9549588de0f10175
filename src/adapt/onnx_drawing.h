// The graph of one language model, in the layout of optimum: input_ids, attention_mask,
// position_ids and past_key_values.N.key|value to logits and present.N.key|value.
#pragma once

#include <map>
#include <set>

#include "adapt/onnx_writer.h"
#include "models/architectures.h"
#include "models/rope_tables.h"
#include "models/tensors.h"

namespace hearth::adapt {

// Points into the package, which has transformers' names.  data_name: of the file of its weights.
class OnnxDrawing {
 public:
  OnnxDrawing(const Package& package, const models::ArchSpec& spec, const models::Hyper& hyper,
              std::string data_name);

  // Before it is drawn: a tensor is written as that; otherwise it is f32.
  void hold(const std::string& tensor, Dtype dtype) { types_[name_in_graph(tensor)] = dtype; }

  // Errors: unsupported (a part of the model that is not drawn).
  Status draw();
  std::string model() const;
  OnnxWriter& writer() { return writer_; }

  // What a tensor is called in the graph: as in a model of text alone.  Empty: it has no place
  // there, such as a vision tower's.
  std::string name_in_graph(const std::string& tensor) const;
  bool is_table(const std::string& tensor) const;

 private:
  struct Module {
    std::string weight, bias;  // in the graph; empty: there is none
    std::vector<std::uint64_t> shape;

    bool present() const { return !weight.empty(); }
  };
  struct Turn {
    std::string cosine, sine;
    std::int64_t dims = 0;
  };
  struct Heads {
    std::string q, k, v;
  };

  Module module(models::Role role, std::size_t layer = 0);
  std::string value(const std::string& name, bool plus_one);
  std::string number(double x) { return writer_.number(static_cast<float>(x)); }
  std::string scaled(const std::string& x, double factor);
  std::string capped(const std::string& x, double cap);
  std::string norm(const std::string& x, const Module& w);
  std::string linear(const std::string& x, const Module& w, std::string_view out = {});
  std::string columns(const std::string& x, std::int64_t begin, std::int64_t end);
  std::string heads(const std::string& x, std::int64_t count, const Module& norm);
  std::string turned(const std::string& x, const Turn& turn);
  std::string turned_neighbours(const std::string& x, const Turn& turn);
  std::string tempered(const std::string& q);
  std::string repeated(const std::string& x);
  Heads read_heads(const std::string& x, std::size_t layer);
  std::string attention(const std::string& x, std::size_t layer);
  std::string activated(const std::string& x);
  std::string mlp(const std::string& x, std::size_t layer);
  std::string branch(const std::string& x, const std::string& made, models::Role post_norm,
                     std::size_t layer);
  Turn turn_of(const ops::RopeTable& table);
  std::string mask_of(std::uint32_t window);
  void declare();
  Status check_all_drawn() const;

  std::int64_t dim() const { return hyper_.head_dim; }
  std::int64_t kv_heads() const { return hyper_.layers[0].kv_heads; }

  const Package& package_;
  const models::ArchSpec& spec_;
  const models::Hyper& hyper_;
  models::TensorFinder finder_;
  OnnxWriter writer_;
  std::map<std::string, Dtype> types_;
  std::string trunk_;  // what the names of the language model begin with
  std::set<std::string> drawn_;
  models::RopeTables ropes_;
  Turn turn_, local_turn_;
  std::map<std::uint32_t, std::string> masks_;  // by window
  std::string total_, eps_, two_, one_;
};

// Errors: unsupported: a number of the model has no place in such a graph.
Status check_drawable(const models::ArchSpec& spec, const models::Hyper& hyper);

}  // namespace hearth::adapt
