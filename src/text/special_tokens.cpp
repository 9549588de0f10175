#include "text/special_tokens.h"

#include <algorithm>
#include <string_view>

namespace hearth {
namespace {

// In the order of preference.
constexpr std::string_view end_of_turn[] = {
    "<|eot_id|>",        "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>",
    "<|end_of_text|>",   "<EOT>",      "_<EOT>",  "[EOT]",         "<｜end▁of▁sentence｜>",
    "<end_of_utterance>"};
constexpr std::string_view end_of_message[] = {"<|eom_id|>"};
constexpr std::string_view fim_prefix[] = {"<|fim_prefix|>",  "<fim-prefix>", "<fim_prefix>",
                                           "<｜fim▁begin｜>", "<PRE>",        "▁<PRE>",
                                           "<|code_prefix|>", "<|prefix|>"};
constexpr std::string_view fim_suffix[] = {"<|fim_suffix|>",  "<fim-suffix>", "<fim_suffix>",
                                           "<｜fim▁hole｜>",  "<SUF>",        "▁<SUF>",
                                           "<|code_suffix|>", "<|suffix|>"};
constexpr std::string_view fim_middle[] = {"<|fim_middle|>",  "<fim-middle>", "<fim_middle>",
                                           "<｜fim▁end｜>",   "<MID>",        "▁<MID>",
                                           "<|code_middle|>", "<|middle|>"};
// Padding, repository and file marks of code models: what follows is another document.
constexpr std::string_view fim_ends[] = {"<|fim_pad|>",  "<fim-pad>",  "<fim_pad>",
                                         "<|fim_repo|>", "<fim-repo>", "<|repo_name|>",
                                         "<REPO>",       "<reponame>", "<|file_sep|>"};
constexpr std::string_view ends[] = {"<|eot_id|>",
                                     "<|im_end|>",
                                     "<|end|>",
                                     "<|return|>",
                                     "<|call|>",
                                     "<|flush|>",
                                     "<|calls|>",
                                     "<end_of_turn>",
                                     "<|endoftext|>",
                                     "</s>",
                                     "<|eom_id|>",
                                     "<EOT>",
                                     "_<EOT>",
                                     "[EOT]",
                                     "[EOS]",
                                     "<|end_of_text|>",
                                     "<end_of_utterance>",
                                     "<eos>",
                                     "<turn|>",
                                     "<|tool_response>",
                                     "<｜end▁of▁sentence｜>",
                                     "[e~["};
// Other names may be plain text: "</s>" ends a line in HTML.  Those count only where the file
// says that they are no normal tokens.
Token find_named(const Vocabulary& vocabulary, std::string_view name) {
  const Token id = vocabulary.find(name);
  if (id == no_token) return no_token;
  const bool unmistakable =
      name.starts_with("<|") || name.starts_with("<｜") || name.starts_with("<end_of");
  return unmistakable || vocabulary.kind(id) != TokenKind::normal ? id : no_token;
}

void find_first(std::optional<Token>& slot, std::span<const std::string_view> names,
                Vocabulary& vocabulary) {
  for (const std::string_view name : names) {
    if (slot) return;
    const Token id = find_named(vocabulary, name);
    if (id == no_token) continue;
    slot = id;
    vocabulary.set_kind(id, TokenKind::control);
  }
}

class Ends {
 public:
  Ends(Vocabulary& vocabulary, std::vector<Token>& ids) : vocabulary_(vocabulary), ids_(ids) {}
  void add(std::optional<Token> id) {
    if (id && vocabulary_.has(*id)) ids_.push_back(*id);
  }
  void add_named(std::span<const std::string_view> names) {
    for (const std::string_view name : names) {
      const Token id = find_named(vocabulary_, name);
      if (id == no_token) continue;
      ids_.push_back(id);
      vocabulary_.set_kind(id, TokenKind::control);
    }
  }
  bool has(std::string_view name) const {
    const Token id = vocabulary_.find(name);
    return id != no_token && std::find(ids_.begin(), ids_.end(), id) != ids_.end();
  }
  void remove(std::string_view name) { std::erase(ids_, vocabulary_.find(name)); }

 private:
  Vocabulary& vocabulary_;
  std::vector<Token>& ids_;
};

}  // namespace

void complete_special_tokens(SpecialTokens& special, Vocabulary& vocabulary,
                             std::span<const Token> more) {
  find_first(special.eot, end_of_turn, vocabulary);
  find_first(special.eom, end_of_message, vocabulary);
  find_first(special.fim_prefix, fim_prefix, vocabulary);
  find_first(special.fim_suffix, fim_suffix, vocabulary);
  find_first(special.fim_middle, fim_middle, vocabulary);

  std::vector<Token>& ids = special.end_of_generation;
  Ends found(vocabulary, ids);
  found.add_named(ends);
  found.add_named(fim_ends);
  // Formats in which <|end|> closes one part of an answer, not the answer.
  const bool harmony = found.has("<|return|>") && found.has("<|call|>");
  const bool solar = found.has("<|flush|>") && found.has("<|calls|>");
  if ((harmony || solar) && found.has("<|end|>")) {
    found.remove("<|end|>");
    if (special.eot && vocabulary.name(*special.eot) == "<|end|>") special.eot.reset();
  }
  // Gemma 4's </s> is a piece of HTML.
  if (found.has("<|tool_response>") && found.has("</s>")) {
    found.remove("</s>");
    vocabulary.set_kind(vocabulary.find("</s>"), TokenKind::normal);
  }
  found.add(special.eos);
  found.add(special.eot);
  found.add(special.eom);
  for (const Token id : more) found.add(id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

}  // namespace hearth
