#!/bin/sh
# Takes out of a oneDNN 3.7.2 source tree what deit never calls, so that those files need not be compiled:
# primitives (deconvolution, group normalization, LRN, PReLU, resampling, RNN, shuffle) and data types (everything
# but f32 and bf16). What is left out answers "unimplemented", as oneDNN does for any case it has no kernel for.
# Usage: trim.sh ONEDNN_SOURCE. The sources are pinned by checksum, so the line edits below always meet the same text.
set -eu
cd "$1/src/cpu"

# edit PROGRAM FILE...: rewrites each file through an awk program.
edit() {
    edit_program=$1
    shift
    for edit_file; do
        awk "$edit_program" "$edit_file" >"$edit_file.new"
        mv "$edit_file.new" "$edit_file"
    done
}

# Primitives: the engine looks an implementation list up by kind.
edit '!/CASE\((deconvolution|group_normalization|lrn|prelu|resampling|rnn|shuffle)\);/' cpu_engine.hpp

# Lists keyed by data types, `{{forward, u8, s8, f32}, {` to `}},`: drop the keys that hold another type than f32 and bf16.
# Then, in all lists, the implementations that serve only such types, and their headers.
edit '
    /^ *\{\{(forward|backward_data|backward_weights), .*[ (](s8|u8|f16)[,}]/ { skip = 1 }
    /^ *BRGEMM_FP8_.*\),$/ { next }
    !skip
    /^ *\}\)?\},$/ { skip = 0 }
' cpu_convolution_list.cpp cpu_inner_product_list.cpp
edit '
    /(CPU_)?INSTANCE.*(x8s8s32x|int8|i8i8|_int_fwd|normalization_s8|f8_e|fp16, |[<, ](f16|s8|u8|s32)[,>]|_vnni>|fp16>)/ { next }
    /#include.*(x8s8s32x|int8|i8i8|eltwise_int|normalization_s8|sparse_matmul)/ { next }
    { print }
' cpu_convolution_list.cpp cpu_inner_product_list.cpp cpu_batch_normalization_list.cpp cpu_eltwise_list.cpp \
    cpu_pooling_list.cpp cpu_reduction_list.cpp cpu_concat.cpp cpu_sum.cpp matmul/cpu_matmul_list.cpp

# Reorders: f32, bf16 and s32 among themselves, no compensation for int8 weights, no RNN weights.
edit '
    /^ *\{\{.*(f16|f8|f4|e8m0|s8|u8|s4|u4)_impl_list_map|^ *\{\{.*(fp8|fp4|s4|u4)_impl_list_map/ && !/bf16_impl_list_map/ { next }
    /comp_.*_impl_list_map\(\)\},/ { next }
    { print }
' reorder/cpu_reorder.cpp
edit '!/rnn_weights_reorder_t|REG_SR.*[ (](s8|u8|f16|f8_e5m2|f8_e4m3)[,)]/' reorder/cpu_reorder_regular_f32_f32.cpp \
    reorder/cpu_reorder_regular_f32_bf16.cpp reorder/cpu_reorder_regular_bf16.cpp \
    reorder/cpu_reorder_regular_f32_s32.cpp reorder/cpu_reorder_regular_s32.cpp
edit '!/#include "cpu\/(rnn\/rnn_reorders|reorder\/simple_sparse_reorder)/' reorder/cpu_reorder.hpp

# Zero padding is a template by type and block, the slowest single file of all. (u8 and s32: workspaces.)
edit '!/case (f16|f4_e3m0|f4_e2m1|e8m0|f8_e5m2|f8_e4m3|s8|s4|u4): return typed_zero_pad/' ../common/memory_zero_pad.cpp

# The int8 side of gemm, in its public functions and, on x86-64, in the copy-based driver.
edit '
    /^dnnl_status_t gemm_s8[su]8s32\(/ { int8 = 1 }
    !body { print }
    body && /^}/ { body = 0; print }
    int8 && /\) \{$/ { print "    return dnnl_unimplemented;"; int8 = 0; body = 1 }
' gemm/gemm.cpp

# Explicit instantiations for those types, and for instruction sets that only serve them.
instances='!/^template (struct|class) .*([<:, ](f16|f8_e5m2|f8_e4m3|s8|u8|s32)[,>]|<avx(2_vnni|512_core_vnni|512_core_fp16|512_core_amx_fp16)>)/'
edit "$instances" nchw_pooling.cpp nhwc_pooling.cpp ref_pooling.cpp ref_eltwise.cpp ref_reduction.cpp simple_concat.cpp \
    simple_sum.cpp ncsp_batch_normalization.cpp nspc_batch_normalization.cpp ref_batch_normalization.cpp

cd x64
edit "$instances" jit_uni_eltwise.cpp jit_uni_pooling.cpp jit_uni_xf16_sum.cpp jit_brgemm_conv.cpp \
    jit_brgemm_1x1_conv.cpp jit_brgemm_conv_bwd.cpp jit_brgemm_conv_bwd_strided.cpp jit_brgemm_inner_product.cpp \
    matmul/brgemm_matmul.cpp
edit '
    /^ *case data_type::s8:$/ { last = "break;$" }
    /^template .*gemm_s8[su]8s32$/ { last = ";$" }
    /jump_to_gemv_s8x8s32/ { last = ";$" }
    last == "" && !/#include.*s8x8s32/ { print }
    last != "" && $0 ~ last { last = "" }
' gemm/gemm_info.cpp gemm/gemm_driver.cpp
