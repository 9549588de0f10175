// Unpacked weights of one panel and group.  Included after arm/sums.inl.

namespace hearth::kernels::HEARTH_ISA {
namespace {

struct CodeGroup {
  i8 codes[group_columns * panel_rows];
  float scale[panel_rows], minus_minimum[panel_rows];
  float second_scale[panel_rows];  // of the last 16 columns, where they have their own
};
static_assert(sizeof(CodeGroup) == 704);

// How a kind's groups are summed and end.
enum class Form { scale, wide, minimum, two_scales };
constexpr Form form_of(Panel kind) {
  return has_minimum(kind)      ? Form::minimum
         : has_two_scales(kind) ? Form::two_scales
         : is_wide(kind)        ? Form::wide
                                : Form::scale;
}
template <Form form>
constexpr std::size_t steps_of = form == Form::two_scales ? 2 : 4;

}  // namespace
}  // namespace hearth::kernels::HEARTH_ISA
