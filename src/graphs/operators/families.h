// The families of operators, one source each.
#pragma once

#include "graphs/operators.h"

namespace hearth::graphs {

std::span<const Operator> arithmetic_operators();
std::span<const Operator> unary_operators();
std::span<const Operator> shape_operators();
std::span<const Operator> gather_operators();
std::span<const Operator> create_operators();
std::span<const Operator> reduce_operators();
std::span<const Operator> sort_operators();
std::span<const Operator> matmul_operators();
std::span<const Operator> conv_operators();
std::span<const Operator> fused_conv_operators();
std::span<const Operator> fused_matmul_operators();
std::span<const Operator> pool_operators();
std::span<const Operator> norm_operators();
std::span<const Operator> quantised_operators();
std::span<const Operator> control_operators();
std::span<const Operator> text_operators();
std::span<const Operator> random_operators();
std::span<const Operator> signal_operators();
std::span<const Operator> resize_operators();
std::span<const Operator> sample_operators();
std::span<const Operator> loss_operators();
std::span<const Operator> recurrent_operators();
std::span<const Operator> attention_operators();
std::span<const Operator> linear_attention_operators();
std::span<const Operator> tree_operators();
std::span<const Operator> classic_operators();
std::span<const Operator> feature_operators();
std::span<const Operator> image_operators();
std::span<const Operator> microsoft_operators();
std::span<const Operator> box_operators();
std::span<const Operator> detect_operators();
std::span<const Operator> projected_lstm_operators();
std::span<const Operator> microfrontend_operators();

}  // namespace hearth::graphs
