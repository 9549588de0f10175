#include "text/pretokenizer/pretokenizer.h"

namespace hearth {
namespace {

class ScannerStep final : public PreTokenizerStep {
 public:
  explicit ScannerStep(Scanner scanner) : scanner_(scanner) {}
  Status split(Piece piece, PieceSink& sink) const override {
    const ScanText text{piece.text.data(), piece.text.data() + piece.text.size()};
    bool at_start = piece.at_start;
    for (const char* p = text.begin; p < text.end;) {
      const char* const next = scanner_(text, p);
      TRY(sink.take({{p, static_cast<std::size_t>(next - p)}, at_start}));
      at_start = false;
      p = next;
    }
    return Done{};
  }

 private:
  Scanner scanner_;
};

}  // namespace

std::unique_ptr<PreTokenizerStep> make_scanner_step(Scanner scanner) {
  return std::make_unique<ScannerStep>(scanner);
}

Status PreTokenizer::split(Piece piece, PieceSink& sink) const {
  return split_from(0, piece, sink);
}

Status PreTokenizer::split_from(std::size_t index, Piece piece, PieceSink& sink) const {
  if (index == steps_.size()) return sink.take(piece);
  if (index + 1 == steps_.size()) return steps_[index]->split(piece, sink);
  class Next final : public PieceSink {
   public:
    Next(const PreTokenizer& all, std::size_t index, PieceSink& sink)
        : all_(all), index_(index), sink_(sink) {}
    Status take(Piece piece) override { return all_.split_from(index_, piece, sink_); }

   private:
    const PreTokenizer& all_;
    std::size_t index_;
    PieceSink& sink_;
  } next(*this, index + 1, sink);
  return steps_[index]->split(piece, next);
}

}  // namespace hearth
