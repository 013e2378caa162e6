/* The table of contents: every part of deit, in layer order, and nothing else. `make amalgamation` writes it out as one
 * file, build/deit.c. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef DEIT_AMALGAMATION
#define DEIT_AMALGAMATION
#endif

#include "base/file.c"
#include "base/hash.c"
#include "base/log.c"
#include "base/machine.c"
#include "base/memory.c"
#include "base/random.c"
#include "base/status.c"

#include "store/archive.c"
#include "store/convert.c"
#include "store/mat.c"
#include "store/npy.c"
#include "store/pickle.c"
#include "store/safetensors.c"
#include "store/store.c"
#include "store/stream.c"
#include "store/torch.c"
#include "store/zip.c"

#include "image/decode_jpeg.c"
#include "image/decode_png.c"
#include "image/image.c"
#include "image/resize.c"
#include "image/resize_simd.c"

#include "data/devkit.c"
#include "data/imagenet.c"
#include "data/label_file.c"
#include "data/labels.c"
#include "data/listing.c"
#include "data/loader.c"
#include "data/set.c"

#include "nn/autodiff.c"
#include "nn/graph.c"
#include "nn/kernel.c"
#include "nn/op_attention.c"
#include "nn/op_conv.c"
#include "nn/op_eltwise.c"
#include "nn/op_linear.c"
#include "nn/op_loss.c"
#include "nn/op_maps.c"
#include "nn/op_norm.c"
#include "nn/op_tokens.c"
#include "nn/params.c"
#include "nn/passes.c"
#include "nn/plan.c"
#include "nn/profile.c"
#include "nn/refresh.c"
#include "nn/simd.c"

#include "model/convnet.c"
#include "model/efficientnet.c"
#include "model/flax.c"
#include "model/grid.c"
#include "model/net.c"
#include "model/registry.c"
#include "model/regnet.c"
#include "model/resnet.c"
#include "model/vit.c"
#include "model/weights.c"

#include "eval/accuracy.c"
#include "eval/profile.c"
#include "eval/speed.c"
#include "eval/top.c"

#include "train/adamw.c"

#include "api/model.c"
#include "api/trainer.c"

#ifdef DEIT_MAIN
#include "repro/baseline.c"
#include "repro/command.c"
#include "repro/conditions.c"
#include "repro/job.c"
#include "repro/locate.c"
#include "repro/manifest.c"
#include "repro/measure.c"
#include "repro/render.c"
#include "repro/report.c"
#include "repro/score.c"
#include "repro/table.c"

#include "cli/args.c"
#include "cli/bench.c"
#include "cli/completion.c"
#include "cli/doctor.c"
#include "cli/evaluate.c"
#include "cli/fetch.c"
#include "cli/forward.c"
#include "cli/main.c"
#include "cli/network.c"
#include "cli/output.c"
#include "cli/predict.c"
#include "cli/profile.c"
#include "cli/repro.c"
#include "cli/terminal.c"
#endif
