#include "vectors/text/fusion.h"

#include <limits>

#include "vectors/store/local_state.h"

namespace hearth::vectors {

std::vector<Match> choose_varied(std::vector<Match> matches, double lambda, std::size_t k,
                                 Metric metric) {
  std::vector<Match> chosen;
  // How near the nearest chosen one is, as minus its distance.
  std::vector<double> likeness(matches.size(), -std::numeric_limits<double>::infinity());
  std::vector<bool> is_taken(matches.size());
  while (chosen.size() < std::min(k, matches.size())) {
    std::size_t best = matches.size();
    double best_value = 0;
    for (std::size_t i = 0; i < matches.size(); ++i) {
      if (is_taken[i]) continue;
      const double near = -static_cast<double>(matches[i].distance);
      const double value = lambda * near - (chosen.empty() ? 0 : (1 - lambda) * likeness[i]);
      if (best == matches.size() || value > best_value) {
        best = i;
        best_value = value;
      }
    }
    is_taken[best] = true;
    for (std::size_t i = 0; i < matches.size(); ++i)
      likeness[i] = std::max(
          likeness[i], -static_cast<double>(distance_between(metric, matches[i].document.vector,
                                                             matches[best].document.vector)));
    chosen.push_back(matches[best]);
  }
  return chosen;
}

}  // namespace hearth::vectors
