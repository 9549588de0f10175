#!/usr/bin/env python3
"""Golden models that see: a tiny random model of every vision tower, what Hugging Face makes of a
picture, and the same weights as GGUF (a language model and its mmproj file).

Needs torch, transformers, pillow, tokenizers, gguf, safetensors, numpy.  Writes tests/golden/vision/:
picture.png, wide.png; resample.json and resample.u8 (what Pillow makes of a corner of picture.png);
<name>/: the Hugging Face folder, mmproj.gguf and of some model.gguf, golden.json (what a prompt
becomes, greedy tokens), pixels.u8 (of the tower's tiles, before they are normalised), rows.f32 (of
the language model), logits.f32 (behind the prompt's last token).

    scripts/golden_vision.py [NAME ...]
"""

import json
import pathlib
import shutil
import sys

import gguf
import numpy
import PIL.Image
import tokenizers
import torch
import transformers
from safetensors.numpy import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import golden_models as text_models  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "vision"
T, A = transformers, gguf.MODEL_ARCH
NEW_TOKENS, MARGIN = 12, 1e-3
F32 = numpy.float32

# ---- pictures -----------------------------------------------------------------------------------


def draw(width, height, seed):
    """Shapes with sharp edges on a gradient with some noise."""
    random = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    p = numpy.stack([x * 255 / width, y * 255 / height, (x + y) % 64 * 4], -1)
    p[(x - width / 3) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2] = (250, 20, 30)
    p[height // 5:height // 3, width // 2:] = (10, 240, 90)
    p = p + random.integers(-9, 10, p.shape)
    return PIL.Image.fromarray(numpy.clip(p, 0, 255).astype(numpy.uint8), "RGB")


def write_pictures():
    ROOT.mkdir(parents=True, exist_ok=True)
    pictures = {"picture.png": draw(75, 50, 1), "wide.png": draw(130, 31, 2)}
    for name, picture in pictures.items():
        picture.save(ROOT / name, optimize=True)
    rows, data = [], b""
    filters = {"bilinear": PIL.Image.BILINEAR, "bicubic": PIL.Image.BICUBIC,
               "lanczos": PIL.Image.LANCZOS}
    for name, f in filters.items():
        for size in ((40, 27), (11, 7), (17, 49), (41, 26), (40, 4), (1, 1)):
            part = numpy.array(pictures["picture.png"].crop((0, 0, 40, 27)).resize(size, f)).tobytes()
            rows.append({"filter": name, "width": size[0], "height": size[1], "at": len(data)})
            data += part
    (ROOT / "resample.json").write_text(json.dumps(rows) + "\n")
    (ROOT / "resample.u8").write_bytes(data)
    write_odd_pictures(pictures["picture.png"])
    return pictures


def write_odd_pictures(picture):
    """Kinds of files: what Pillow and image processors read from them."""
    odd = ROOT / "odd"
    shutil.rmtree(odd, ignore_errors=True)
    odd.mkdir()
    small = picture.crop((20, 10, 44, 26))
    alpha = small.convert("RGBA")
    y, x = numpy.mgrid[0:16, 0:24]
    alpha.putalpha(PIL.Image.fromarray((x * 10 + y).astype(numpy.uint8)))
    alpha.save(odd / "alpha.png")
    small.quantize(7).save(odd / "palette.png", transparency=2)
    small.convert("L").save(odd / "grey.png")
    small.convert("1").save(odd / "bits.png")
    small.save(odd / "photo.jpg", quality=90)
    small.convert("L").save(odd / "grey.jpg", quality=90)
    small.convert("CMYK").save(odd / "inks.jpg", quality=90)
    for orientation in range(2, 9):
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        small.save(odd / f"turned{orientation}.jpg", quality=90, exif=exif)
    small.save(odd / "progressive.jpg", quality=90, progressive=True)
    small.save(odd / "lossy.webp", quality=80)
    alpha.save(odd / "clear.webp", lossless=True, exact=True)
    small.save(odd / "moving.webp", save_all=True, append_images=[small.rotate(180)],
               lossless=True)
    small.save(odd / "plain.bmp")
    small.save(odd / "plain.ppm")
    for packing in ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"):
        small.save(odd / f"{packing}.tif", compression=packing)
    small.save(odd / "predicted.tif", compression="tiff_lzw", tiffinfo={317: 2})
    small.convert("L").save(odd / "grey.tif", compression="packbits")
    small.quantize(7).save(odd / "palette.tif", compression="tiff_lzw")
    alpha.save(odd / "alpha.tif", compression="tiff_adobe_deflate")
    from transformers.image_transforms import convert_to_rgb
    wanted = {}
    for path in sorted(odd.iterdir()):
        image = PIL.ImageOps.exif_transpose(PIL.Image.open(path))
        rgb = convert_to_rgb(image, return_numpy=True)
        wanted[path.name] = {"width": rgb.shape[1], "height": rgb.shape[0],
                             "rgb": rgb.tobytes().hex()}
    (odd / "expected.json").write_text(json.dumps(wanted) + "\n")


# ---- text ---------------------------------------------------------------------------------------

LETTERS = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())


def make_tokenizer(folder, special, template, **words):
    """A vocabulary of bytes, and the special tokens behind them."""
    vocab = {letter: i for i, letter in enumerate(LETTERS)}
    core = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[]))
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    core.add_special_tokens(special)
    fast = T.PreTrainedTokenizerFast(tokenizer_object=core, chat_template=template, **words)
    fast.save_pretrained(folder)
    return fast


def parts_template(before, after, picture, opening):
    """Roles between marks; contents are texts, or lists of texts and pictures."""
    return ("{% for message in messages %}" + before + "{% if message['content'] is string %}"
            "{{ message['content'] }}{% else %}{% for part in message['content'] %}"
            "{% if part['type'] == 'image' %}" + picture + "{% else %}{{ part['text'] }}{% endif %}"
            "{% endfor %}{% endif %}" + after + "{% endfor %}"
            "{% if add_generation_prompt %}" + opening + "{% endif %}")


def only_parts_template(before, after, picture, opening):
    """The same of a template that reads lists alone."""
    return ("{% for message in messages %}" + before + "{% for part in message['content'] %}"
            "{% if part['type'] == 'image' %}" + picture + "{% endif %}"
            "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}" + after +
            "{% endfor %}{% if add_generation_prompt %}" + opening + "{% endif %}")


CHATML = dict(before="<|im_start|>{{ message['role'] }}\n", after="<|im_end|>\n",
              opening="<|im_start|>assistant\n")

# ---- GGUF ---------------------------------------------------------------------------------------


def write_language(folder, spec, c, tensors, tokenizer, add=None):
    """The language model with its vocabulary."""
    arch = gguf.MODEL_ARCH_NAMES[spec["arch"]]
    w = gguf.GGUFWriter(folder / "model.gguf", arch)
    w.add_name(folder.name)
    text_models.common_keys(w, arch, c)
    if add:
        add(w, c)
    tokens = [tokenizer.convert_ids_to_tokens(i) for i in range(c.vocab_size)]
    added = set(tokenizer.get_added_vocab())
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list([t if t is not None else f"<unused{i}>" for i, t in enumerate(tokens)])
    w.add_token_types([3 if t is None or t in added else 1 for t in tokens])
    w.add_token_merges([])
    if tokenizer.eos_token_id is not None:
        w.add_eos_token_id(tokenizer.eos_token_id)
    w.add_chat_template(tokenizer.chat_template)
    for name, value in text_models.gguf_tensors(spec, c, tensors).items():
        w.add_tensor(name, numpy.ascontiguousarray(value, dtype=F32))
    text_models.finish(w)


def write_tower(folder, spec, vision, preprocess, tensors, layers):
    w = gguf.GGUFWriter(folder / "mmproj.gguf", "clip")
    w.add_name(folder.name)
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", spec["projector"])
    for key, value in vision.items():
        if isinstance(value, bool):
            w.add_bool(f"clip.{key}", value)
        elif isinstance(value, float):
            w.add_float32(f"clip.{key}", value)
        elif isinstance(value, list):
            w.add_array(f"clip.{key}", value)
        else:
            w.add_uint32(f"clip.{key}", value)
    w.add_array("clip.vision.image_mean", [float(v) for v in preprocess.image_mean])
    w.add_array("clip.vision.image_std", [float(v) for v in preprocess.image_std])
    names = gguf.get_tensor_name_map(A.MMPROJ, layers)
    for name, value in tensors.items():
        # As files of 2024 and 2025 call them.
        if name.startswith("vision_tower.") and spec["projector"] != "pixtral":
            name = name.replace("vision_tower.", "vision_tower.vision_model.")
        for target, part in spec["tensor"](name, value, names):
            half = not spec.get("whole") and part.ndim > 1 and "position" not in target
            w.add_tensor(target, numpy.ascontiguousarray(part, numpy.float16 if half else F32))
    text_models.finish(w)


def mapped(name, value, names):
    stem, _, last = name.rpartition(".")
    target = names.get_name(stem)
    if target is None:
        raise ValueError(f"{name}: no GGUF name")
    return [(f"{target}.{last}", value)]


def two_frames(value):
    return [("v.patch_embd.weight", value[:, :, 0]), ("v.patch_embd.weight.1", value[:, :, 1])]


def qwen_tensor(name, value, names):
    name = name.replace("model.visual.", "visual.")
    if name.endswith("patch_embed.proj.weight"):
        return two_frames(value)
    if ".qkv." in name:
        return [pair for part, letter in zip(numpy.split(value, 3), "qkv")
                for pair in mapped(name.replace("qkv", letter), part, names)]
    return mapped(name, value, names)


def qwen3_tensor(name, value, names):
    name = name.replace("model.visual.", "visual.")
    if name.endswith("patch_embed.proj.weight"):
        return two_frames(value)
    if name.startswith("visual.merger."):
        part, last = name.split(".")[2:]
        return [({"norm": "v.post_ln", "linear_fc1": "mm.0", "linear_fc2": "mm.2"}[part] + "." + last,
                 value)]
    if name.startswith("visual.deepstack_merger_list."):
        number, part, last = name.split(".")[2:]
        return [(f"v.deepstack.{DEEP[int(number)]}.{part.removeprefix('linear_')}.{last}", value)]
    return mapped(name, value, names)


def clip_tensor(name, value, names):
    if name.endswith("class_embedding"):
        return [("v.class_embd", value)]
    if "post_layernorm" in name and "clip" in name:
        return []
    if name.endswith("mm_input_projection_weight"):
        return [("mm.input_projection.weight", value)]
    if name.endswith("mm_soft_emb_norm.weight"):
        value = value + 1
    return mapped(name, value, names)


def llava_tensor(name, value, names):
    if "post_layernorm" in name:
        return []
    if name.endswith("image_newline"):
        return [("model.image_newline", value)]
    return clip_tensor(name, value, names)


def internvl_tensor(name, value, names):
    if "multi_modal_projector" in name:
        part, last = name.split(".")[-2:]
        number = {"layer_norm": 0, "linear_1": 1, "linear_2": 3}[part]
        return [(f"mm.model.mlp.{number}.{last}", value)]
    name = "model." + name.removeprefix("model.").replace("vision_model.", "")
    if name.endswith("cls_token"):
        return [("v.class_embd", value.reshape(-1))]
    if name.endswith(("position_embeddings", "lambda_1", "lambda_2")):
        return mapped(name + ".weight", value.squeeze(), names)
    return mapped(name, value, names)


GEMMA4_NAMES = {
    "input_layernorm": "ln1", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "self_attn.o_proj": "attn_out",
    "post_attention_layernorm": "attn_post_norm", "pre_feedforward_layernorm": "ln2",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "post_feedforward_layernorm": "ffn_post_norm"}


def gemma4_tensor(name, value, names):
    name = name.removeprefix("model.").removeprefix("vision_tower.")
    if name.startswith("encoder.layers."):
        number, rest = name.removeprefix("encoder.layers.").split(".", 1)
        stem, last = rest.replace(".linear", "").rsplit(".", 1)
        return [(f"v.blk.{number}.{GEMMA4_NAMES[stem]}.{last}", value.reshape(value.shape or 1))]
    if name == "patch_embedder.input_proj.weight":
        edge = round((value.shape[1] // 3) ** 0.5)
        return [("v.patch_embd.weight",
                 value.reshape(-1, edge, edge, 3).transpose(0, 3, 1, 2))]
    return [({"patch_embedder.position_embedding_table": "v.position_embd.weight",
              "std_bias": "v.std_bias", "std_scale": "v.std_scale",
              "embed_vision.embedding_projection.weight": "mm.input_projection.weight"}[name],
             value)]


def pixtral_tensor(heads):
    def tensor(name, value, names):
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            value = text_models.pair_rows(value, heads)
        return mapped(name, value, names)
    return tensor


# ---- the models ---------------------------------------------------------------------------------

VOCAB = 272
text = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=512,
            bos_token_id=None, eos_token_id=None, pad_token_id=None, tie_word_embeddings=True)
QWEN_WORDS = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
              "<|video_pad|>"]
FIRST = len(LETTERS)  # the id of the first special token


def qwen_ids():
    return dict(vision_start_token_id=FIRST + 2, vision_end_token_id=FIRST + 3,
                image_token_id=FIRST + 4, video_token_id=FIRST + 5)


def qwen2_vl():
    config = T.Qwen2VLConfig(
        text_config={**text, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0,
                                                 "mrope_section": [2, 3, 3]}},
        vision_config=dict(depth=2, embed_dim=16, hidden_size=32, num_heads=2, mlp_ratio=2,
                           patch_size=7, spatial_merge_size=2, temporal_patch_size=2),
        tie_word_embeddings=True, **qwen_ids())
    return config, T.Qwen2VLForConditionalGeneration


def qwen25_vl():
    config = T.Qwen2_5_VLConfig(
        text_config={**text, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0,
                                                 "mrope_section": [2, 3, 3]}},
        vision_config=dict(depth=4, hidden_size=16, out_hidden_size=32, num_heads=2,
                           intermediate_size=24, patch_size=7, spatial_merge_size=2,
                           temporal_patch_size=2, window_size=28, fullatt_block_indexes=[1, 3]),
        tie_word_embeddings=True, **qwen_ids())
    return config, T.Qwen2_5_VLForConditionalGeneration


DEEP, PLACES = [0, 2], 5
qwen3_text = {**text, "head_dim": 16, "rope_parameters": {
    "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]}}
qwen3_vision = dict(depth=3, hidden_size=16, out_hidden_size=32, num_heads=2, intermediate_size=24,
                    patch_size=7, spatial_merge_size=2, temporal_patch_size=2,
                    num_position_embeddings=PLACES**2, deepstack_visual_indexes=DEEP)


def qwen3_vl():
    config = T.Qwen3VLConfig(text_config={**qwen3_text, "num_hidden_layers": 3},
                             vision_config=qwen3_vision, tie_word_embeddings=True, **qwen_ids())
    return config, T.Qwen3VLForConditionalGeneration


def qwen3_vl_moe():
    config = T.Qwen3VLMoeConfig(
        text_config={**qwen3_text, "num_experts": 4, "num_experts_per_tok": 2,
                     "moe_intermediate_size": 16},
        vision_config=qwen3_vision, tie_word_embeddings=True, **qwen_ids())
    return config, T.Qwen3VLMoeForConditionalGeneration


DELTA = dict(linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8,
             linear_value_head_dim=6, layer_types=["linear_attention", "full_attention"])


def qwen35():
    plain = {k: v for k, v in qwen3_vision.items() if k != "deepstack_visual_indexes"}
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
            "mrope_section": [2, 1, 1]}
    config = T.Qwen3_5Config(
        text_config={**text, **DELTA, "head_dim": 16, "rope_parameters": rope},
        vision_config=plain, tie_word_embeddings=True, **qwen_ids())
    return config, T.Qwen3_5ForConditionalGeneration


def qwen_processor(**more):
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
    return Qwen2VLImageProcessorPil(size={"shortest_edge": 28 * 28, "longest_edge": 14 * 14 * 16},
                                   patch_size=7, **more)


def qwen3_processor():
    return qwen_processor(image_mean=[0.5] * 3, image_std=[0.5] * 3)


def qwen_inputs(processor, pictures, c):
    out = processor(pictures, return_tensors="pt")
    grids = out["image_grid_thw"].tolist()
    counts = [h * w // 4 for _, h, w in grids]
    return dict(out), ["<|image_pad|>" * n for n in counts], counts


def qwen_pixels(out):
    """Patches back to tiles [3, height, width]."""
    tiles, at = [], 0
    for _, h, w in out["image_grid_thw"].tolist():
        p = out["pixel_values"][at:at + h * w].reshape(h // 2, w // 2, 2, 2, 3, 2, 7, 7)[..., 0, :, :]
        tiles.append(p.permute(4, 0, 2, 5, 1, 3, 6).reshape(3, h * 7, w * 7))
        at += h * w
    return tiles


def sections(w, c):
    w.add_rope_dimension_sections([*c.rope_parameters["mrope_section"], 0])


def deep_sections(w, c):
    sections(w, c)
    w.add_num_deepstack_layers(len(DEEP))


siglip = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
              patch_size=7, hidden_act="gelu_pytorch_tanh")
GEMMA_WORDS = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
               "<image_soft_token>", "<bos>"]


def gemma3():
    config = T.Gemma3Config(
        text_config={**text, "head_dim": 16, "num_hidden_layers": 6, "intermediate_size": 16, "sliding_window": 8,
                     "query_pre_attn_scalar": 16, "hidden_activation": "gelu_pytorch_tanh",
                     "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
                     "tie_word_embeddings": True},
        vision_config={**siglip, "image_size": 56, "vision_use_head": False},
        mm_tokens_per_image=4, boi_token_index=FIRST + 2, eoi_token_index=FIRST + 3,
        image_token_index=FIRST + 4)
    return config, T.Gemma3ForConditionalGeneration


def gemma3_processor():
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
    return Gemma3ImageProcessorPil(size={"height": 56, "width": 56})


def gemma3_inputs(processor, pictures, c):
    out = processor(pictures, return_tensors="pt")
    one = "\n\n<start_of_image>" + "<image_soft_token>" * 4 + "<end_of_image>\n\n"
    return {"pixel_values": out["pixel_values"]}, [one] * len(pictures), [4] * len(pictures)


GEMMA4_WORDS = ["<|turn>", "<turn|>", "<|image>", "<|image|>", "<image|>"]
GEMMA4_ROWS = 70


def gemma4(large=False):
    """The small ones hold what matrices read and give to bounds, and have vectors of layers' own;
    in the large ones rows of a picture see each other, and pooled rows are standardised."""
    own = dict(hidden_size_per_layer_input=0, use_bidirectional_attention="vision") if large else (
        dict(hidden_size_per_layer_input=6, vocab_size_per_layer_input=VOCAB))
    config = T.Gemma4Config(
        text_config={**text, **own, "head_dim": 8, "global_head_dim": 16,
                     "num_global_key_value_heads": 1, "attention_k_eq_v": True,
                     "sliding_window": 24, "num_kv_shared_layers": 0, "pad_token_id": 0,
                     "layer_types": ["sliding_attention", "full_attention"]},
        vision_config=dict(
            hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, head_dim=8, patch_size=4, position_embedding_size=3 * GEMMA4_ROWS,
            use_clipped_linears=not large, standardize=large),
        audio_config=None, boi_token_id=FIRST + 2, image_token_id=FIRST + 3,
        eoi_token_id=FIRST + 4, video_token_id=FIRST + 5, audio_token_id=FIRST + 6,
        tie_word_embeddings=True)
    return config, T.Gemma4ForConditionalGeneration


def gemma4_processor():
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil
    return Gemma4ImageProcessorPil(patch_size=4, max_soft_tokens=GEMMA4_ROWS)


def gemma4_inputs(processor, pictures, c):
    out = processor(pictures, return_tensors="pt")
    counts = [int(n) for n in out["num_soft_tokens_per_image"]]
    return ({"pixel_values": out["pixel_values"], "image_position_ids": out["image_position_ids"]},
            ["<|image>" + "<|image|>" * n + "<image|>" for n in counts], counts)


def gemma4_pixels(out):
    tiles = []
    for patches, places in zip(out["pixel_values"], out["image_position_ids"]):
        width, height = (int(n) + 1 for n in places.amax(0))
        p = patches[:width * height].reshape(height, width, 4, 4, 3)
        tiles.append(2 * p.permute(4, 0, 2, 1, 3).reshape(3, height * 4, width * 4) - 1)
    return tiles


INTERN_WORDS = ["<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>"]


def internvl(large=False):
    """The large ones have norms of the other kind, of queries and keys too, and no biases."""
    config = T.InternVLConfig(
        text_config={**text, "model_type": "qwen3" if large else "qwen2", "head_dim": 16},
        vision_config=dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                           num_attention_heads=2, image_size=[28, 28], patch_size=[7, 7],
                           attention_bias=not large, use_qk_norm=large,
                           norm_type="rms_norm" if large else "layer_norm"),
        image_token_id=FIRST + 4, image_seq_length=4, tie_word_embeddings=True)
    return config, T.InternVLForConditionalGeneration


def internvl_processor():
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
    return GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}, max_patches=6,
                                    crop_to_patches=True)


def internvl_inputs(processor, pictures, c):
    out = processor(pictures, return_tensors="pt")
    counts = [4 * int(n) for n in out["num_patches"]]
    return ({"pixel_values": out["pixel_values"]},
            ["<img>" + "<IMG_CONTEXT>" * n + "</img>" for n in counts], counts)


LLAMA4_WORDS = ["<|eot|>", "<|image_start|>", "<|image|>", "<|patch|>", "<|image_end|>",
                "<|tile_x_separator|>", "<|tile_y_separator|>"]


def llama4():
    config = T.Llama4Config(
        text_config={**text, "head_dim": 16, "num_hidden_layers": 4, "intermediate_size": 16,
                     "intermediate_size_mlp": 20, "num_local_experts": 2, "num_experts_per_tok": 1, "interleave_moe_layer_step": 2},
        vision_config=dict(
            hidden_size=16, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            image_size=28, patch_size=7, vision_output_dim=24, projector_input_dim=24,
            projector_output_dim=24, pixel_shuffle_ratio=0.5),
        boi_token_index=FIRST + 1, eoi_token_index=FIRST + 4, image_token_index=FIRST + 3,
        tie_word_embeddings=True)
    return config, T.Llama4ForConditionalGeneration


def llama4_processor():
    from transformers.models.llama4.image_processing_llama4 import Llama4ImageProcessor
    return Llama4ImageProcessor(size={"height": 28, "width": 28}, max_patches=6)


def llama4_inputs(processor, pictures, c):
    out = processor(pictures, return_tensors="pt")
    maker = object.__new__(T.Llama4Processor)
    maker.image_token, maker.fake_image_token = "<|patch|>", "<|image|>"
    texts = [maker._prompt_split_image([int(n) for n in shape], 4)
             for shape in out["aspect_ratios"]]
    return ({"pixel_values": out["pixel_values"].float()}, texts,
            [text.count("<|patch|>") for text in texts])


def llama4_tensor(name, value, names):
    name = name.removeprefix("model.")
    if name == "multi_modal_projector.linear_1.weight":
        return [("mm.model.fc.weight", value)]
    if name.endswith("class_embedding"):
        return [("v.class_embd", value)]
    if name.endswith("positional_embedding_vlm"):
        return [("v.position_embd.weight", value)]
    if "post_attention_layernorm" in name:  # the table's name is Gemma 4's
        return [(f"v.blk.{name.split('.')[3]}.ln2.{name.split('.')[-1]}", value)]
    return mapped(name, value, names)


IDEFICS_WORDS = (["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>",
                  "<global-img>"] + [f"<row_{r}_col_{c}>" for r in (1, 2, 3) for c in (1, 2, 3)])


def idefics3():
    config = T.Idefics3Config(
        text_config={**text, "model_type": "llama"},
        vision_config={**siglip, "image_size": 28}, scale_factor=2,
        image_token_id=FIRST + 3, tie_word_embeddings=True)
    return config, T.Idefics3ForConditionalGeneration


def idefics3_processor():
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
    return Idefics3ImageProcessorPil(size={"longest_edge": 56}, max_image_size={"longest_edge": 28})


def idefics3_inputs(processor, pictures, c):
    out = processor(pictures, return_tensors="pt", return_row_col_info=True)
    texts, counts, fake, rows = [], [], "<fake_token_around_image>", "<image>" * 4
    for r, k in zip(out["rows"][0], out["cols"][0]):
        body = "".join("".join(f"{fake}<row_{y + 1}_col_{x + 1}>{rows}" for x in range(k)) + "\n"
                       for y in range(r))
        body += ("\n" if r else "") + f"{fake}<global-img>{rows}{fake}"
        texts.append(body)
        counts.append(4 * (r * k + 1))
    return ({"pixel_values": out["pixel_values"], "pixel_attention_mask": out["pixel_attention_mask"]},
            texts, counts)


LLAVA_WORDS = ["<|im_start|>", "<|im_end|>", "<image>", "<pad>"]


def llava():
    config = T.LlavaConfig(
        text_config={**text, "model_type": "llama"},
        vision_config=dict(model_type="clip_vision_model", hidden_size=16, intermediate_size=24,
                           num_hidden_layers=3, num_attention_heads=2, image_size=28, patch_size=7,
                           projection_dim=16),
        tie_word_embeddings=True,
        image_token_index=FIRST + 2, vision_feature_layer=-2, vision_feature_select_strategy="default")
    return config, T.LlavaForConditionalGeneration


def llava_processor():
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    return CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})


def llava_inputs(processor, pictures, c):
    out = processor(pictures, return_tensors="pt")
    return ({"pixel_values": out["pixel_values"]}, ["<image>" * 16] * len(pictures),
            [16] * len(pictures))


PINPOINTS = [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]


def llava_next():
    plain, _ = llava()
    config = T.LlavaNextConfig(
        text_config=plain.text_config.to_dict(), vision_config=plain.vision_config.to_dict(),
        tie_word_embeddings=True, image_token_index=FIRST + 2, vision_feature_layer=-2,
        vision_feature_select_strategy="default", image_grid_pinpoints=PINPOINTS)
    return config, T.LlavaNextForConditionalGeneration


def llava_next_processor():
    from transformers.models.llava_next.image_processing_pil_llava_next import (
        LlavaNextImageProcessorPil)
    return LlavaNextImageProcessorPil(size={"shortest_edge": 28},
                                      crop_size={"height": 28, "width": 28},
                                      image_grid_pinpoints=PINPOINTS)


def llava_next_inputs(processor, pictures, c):
    out = processor(pictures, return_tensors="pt")
    counter = object.__new__(T.LlavaNextProcessor)
    counter.image_processor, counter.patch_size, counter.num_additional_image_tokens = processor, 7, 1
    counts = [counter._get_number_of_features(h, w, 28, 28) - 1
              for h, w in out["image_sizes"].tolist()]
    return dict(out), ["<image>" * n for n in counts], counts


def llava_next_pixels(out):
    from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches
    return [tile for tiles, size in zip(out["pixel_values"], out["image_sizes"])
            for tile in tiles[:image_size_to_num_patches(size, PINPOINTS, 28)]]


PIXTRAL_WORDS = ["[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"]
pixtral_vision = dict(model_type="pixtral", hidden_size=16, intermediate_size=24, head_dim=8,
                      num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=7,
                      hidden_act="silu")


def pixtral():
    config = T.LlavaConfig(
        text_config={**text, "model_type": "mistral", "sliding_window": None},
        vision_config=pixtral_vision, image_token_index=FIRST + 2, vision_feature_layer=-1,
        vision_feature_select_strategy="full", tie_word_embeddings=True)
    return config, T.LlavaForConditionalGeneration


def mistral3():
    config = T.Mistral3Config(
        text_config={**text, "model_type": "mistral", "sliding_window": None},
        vision_config=pixtral_vision, image_token_index=FIRST + 2, vision_feature_layer=-1,
        spatial_merge_size=2, multimodal_projector_bias=False, tie_word_embeddings=True)
    return config, T.Mistral3ForConditionalGeneration


def ministral3():
    plain, kind = mistral3()
    rope = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
                original_max_position_embeddings=128, beta_fast=32.0, beta_slow=1.0, mscale=1.0,
                mscale_all_dim=1.0, llama_4_scaling_beta=0.1)
    config = T.Mistral3Config(**{
        **{k: v for k, v in plain.to_dict().items() if k not in ("text_config", "model_type")},
        "text_config": {**text, "model_type": "ministral3", "rope_parameters": rope}})
    return config, kind


def pixtral_processor(block=7):
    from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil
    return PixtralImageProcessorPil(size={"longest_edge": 56},
                                    patch_size={"height": block, "width": block})


def pixtral_inputs(processor, pictures, c):
    block = processor.patch_size["height"]
    out = processor(pictures, return_tensors="pt")
    texts, counts = [], []
    for h, w in out["image_sizes"].tolist():
        rows, columns = h // block, w // block
        texts.append("[IMG_BREAK]".join(["[IMG]" * columns] * rows) + "[IMG_END]")
        counts.append(rows * columns)
    return {"pixel_values": out["pixel_values"], "image_sizes": out["image_sizes"]}, texts, counts


def pixtral_pixels(out):
    return [p[:, :h, :w] for p, (h, w) in zip(out["pixel_values"], out["image_sizes"].tolist())]


def plain_pixels(out):
    pixels = out["pixel_values"]
    return list(pixels[0] if pixels.ndim == 5 else pixels)


def one(edge):
    return edge[0] if isinstance(edge, (list, tuple)) else edge


def vision_keys(c, **more):
    v = c.vision_config
    return {"vision.image_size": one(getattr(v, "image_size", 560)),
            "vision.patch_size": one(v.patch_size),
            "vision.embedding_length": getattr(v, "embed_dim", None) or v.hidden_size,
            "vision.feed_forward_length": getattr(v, "intermediate_size", None)
            or int(v.embed_dim * v.mlp_ratio),
            "vision.projection_dim": 32, "vision.block_count": v.num_hidden_layers
            if hasattr(v, "num_hidden_layers") else v.depth,
            "vision.attention.head_count": v.num_attention_heads
            if hasattr(v, "num_attention_heads") else v.num_heads,
            "vision.attention.layer_norm_epsilon": float(getattr(v, "layer_norm_eps", 1e-6)), **more}


def qwen3_keys(c):
    deep = [i in DEEP for i in range(c.vision_config.depth)]
    return vision_keys(c, use_gelu=True, **{
        "vision.image_size": PLACES * 7, "vision.spatial_merge_size": 2,
        "vision.is_deepstack_layers": deep, "vision.image_min_pixels": 28 * 28,
        "vision.image_max_pixels": 14 * 14 * 16})


MODELS = {
    "qwen2.5-vl": dict(
        make=qwen25_vl, whole=True, arch=A.QWEN2VL, projector="qwen2.5vl_merger", processor=qwen_processor,
        inputs=qwen_inputs, pixels=qwen_pixels, words=QWEN_WORDS, eos="<|im_end|>",
        template=parts_template(picture="<|vision_start|><|image_pad|><|vision_end|>", **CHATML),
        keys=sections, tensor=qwen_tensor,
        vision=lambda c: vision_keys(c, use_silu=True, **{
            "vision.n_wa_pattern": 2, "vision.window_size": 28, "vision.spatial_merge_size": 2,
            "vision.image_min_pixels": 28 * 28, "vision.image_max_pixels": 14 * 14 * 16})),
    "qwen2-vl": dict(
        make=qwen2_vl, arch=A.QWEN2VL, projector="qwen2vl_merger", processor=qwen_processor,
        inputs=qwen_inputs, pixels=qwen_pixels, words=QWEN_WORDS, eos="<|im_end|>",
        template=parts_template(picture="<|vision_start|><|image_pad|><|vision_end|>", **CHATML),
        keys=sections, tensor=qwen_tensor,
        vision=lambda c: vision_keys(c, **{
            "vision.spatial_merge_size": 2, "vision.image_min_pixels": 28 * 28,
            "vision.image_max_pixels": 14 * 14 * 16})),
    "qwen3-vl": dict(
        make=qwen3_vl, whole=True, arch=A.QWEN3VL, projector="qwen3vl_merger",
        processor=qwen3_processor, inputs=qwen_inputs, pixels=qwen_pixels, words=QWEN_WORDS,
        eos="<|im_end|>",
        template=parts_template(picture="<|vision_start|><|image_pad|><|vision_end|>", **CHATML),
        keys=deep_sections, tensor=qwen3_tensor, vision=lambda c: qwen3_keys(c)),
    "qwen3-vl-moe": dict(
        make=qwen3_vl_moe, arch=A.QWEN3VLMOE, projector="qwen3vl_merger",
        processor=qwen3_processor, inputs=qwen_inputs, pixels=qwen_pixels, words=QWEN_WORDS,
        eos="<|im_end|>",
        template=parts_template(picture="<|vision_start|><|image_pad|><|vision_end|>", **CHATML),
        tensor=qwen3_tensor, vision=lambda c: qwen3_keys(c)),
    "qwen3.5": dict(
        make=qwen35, arch=A.QWEN35, projector="qwen3vl_merger", processor=qwen3_processor,
        inputs=qwen_inputs, pixels=qwen_pixels, words=QWEN_WORDS, eos="<|im_end|>",
        template=parts_template(picture="<|vision_start|><|image_pad|><|vision_end|>", **CHATML),
        tensor=qwen3_tensor, vision=lambda c: {
            k: v for k, v in qwen3_keys(c).items() if "deepstack" not in k}),
    "gemma3": dict(
        make=gemma3, whole=True, arch=A.GEMMA3, projector="gemma3", processor=gemma3_processor,
        inputs=gemma3_inputs, pixels=plain_pixels, words=GEMMA_WORDS, eos="<end_of_turn>",
        template=parts_template(before="<start_of_turn>{{ message['role'] }}\n",
                                after="<end_of_turn>\n", picture="<start_of_image>",
                                opening="<start_of_turn>model\n"),
        keys=lambda w, c: w.add_sliding_window(c.sliding_window), tensor=clip_tensor,
        vision=lambda c: vision_keys(c, use_gelu=True,
                                     **{"vision.projector.scale_factor": 4})),
    "gemma4": dict(
        make=gemma4, arch=A.GEMMA4, projector="gemma4v", processor=gemma4_processor,
        inputs=gemma4_inputs, pixels=gemma4_pixels, words=GEMMA4_WORDS, eos="<turn|>",
        marker="<|image|>", colours=0.5,
        template=parts_template(before="<|turn>{{ message['role'] }}\n", after="<turn|>\n",
                                picture="<|image|>", opening="<|turn>model\n"),
        tensor=gemma4_tensor, vision=lambda c: vision_keys(c, use_gelu=True, **{
            "vision.projector.scale_factor": 3,
            "vision.image_max_pixels": GEMMA4_ROWS * 12 * 12})),
    "internvl": dict(
        make=internvl, arch=A.QWEN2, projector="internvl", processor=internvl_processor,
        inputs=internvl_inputs, pixels=plain_pixels, words=INTERN_WORDS, eos="<|im_end|>",
        marker="<IMG_CONTEXT>", template=parts_template(picture="<IMG_CONTEXT>\n", **CHATML),
        tensor=internvl_tensor, vision=lambda c: vision_keys(c, use_gelu=True, **{
            "vision.projector.scale_factor": 2, "vision.preproc_max_tiles": 6})),
    "llama4": dict(
        make=llama4, arch=A.LLAMA4, projector="llama4", processor=llama4_processor,
        inputs=llama4_inputs, pixels=plain_pixels, words=LLAMA4_WORDS, eos="<|eot|>",
        marker="<|image|>", rounded=True,
        template=parts_template(before="{{ message['role'] }}\n", after="<|eot|>",
                                picture="<|image|>", opening="assistant\n"),
        tensor=llama4_tensor, vision=lambda c: vision_keys(c, use_gelu=True, **{
            "vision.projector.scale_factor": 2, "vision.preproc_max_tiles": 6,
            "vision.attention.layer_norm_epsilon": 1e-5})),
    "smolvlm": dict(
        make=idefics3, arch=A.LLAMA, projector="idefics3", processor=idefics3_processor,
        inputs=idefics3_inputs, pixels=plain_pixels, words=IDEFICS_WORDS, eos="<end_of_utterance>",
        template=only_parts_template(before="<|im_start|>{{ message['role'] }}: ",
                                     after="<end_of_utterance>\n", picture="<image>",
                                     opening="assistant:"),
        tensor=clip_tensor,
        vision=lambda c: vision_keys(c, use_gelu=True, **{
            "vision.projector.scale_factor": 2, "vision.preproc_image_size": 56})),
    "llava": dict(
        make=llava, arch=A.LLAMA, projector="mlp", processor=llava_processor, inputs=llava_inputs,
        pixels=plain_pixels, words=LLAVA_WORDS, eos="<|im_end|>",
        template=parts_template(picture="<image>\n", **CHATML), tensor=llava_tensor,
        vision=lambda c: vision_keys(c, **{"vision.feature_layer": 2,
                                           "vision.attention.layer_norm_epsilon": 1e-5})),
    "llava-next": dict(
        make=llava_next, arch=A.LLAMA, projector="mlp", processor=llava_next_processor,
        inputs=llava_next_inputs, pixels=llava_next_pixels, words=LLAVA_WORDS, eos="<|im_end|>",
        template=parts_template(picture="<image>\n", **CHATML), tensor=llava_tensor,
        vision=lambda c: vision_keys(c, **{
            "vision.feature_layer": 2, "vision.attention.layer_norm_epsilon": 1e-5,
            "vision.image_grid_pinpoints": [v for h, w in PINPOINTS for v in (w, h)]})),
    "pixtral": dict(
        make=pixtral, arch=A.LLAMA, projector="pixtral", processor=pixtral_processor,
        inputs=pixtral_inputs, pixels=pixtral_pixels, words=PIXTRAL_WORDS, eos=None,
        template=parts_template(before="[INST]", after="[/INST]", picture="[IMG]", opening=""),
        tensor=pixtral_tensor(2),
        vision=lambda c: vision_keys(c, use_silu=True,
                                     **{"vision.attention.layer_norm_epsilon": 1e-5})),
    "mistral3": dict(
        make=mistral3, arch=A.LLAMA, projector="pixtral", processor=lambda: pixtral_processor(14),
        inputs=pixtral_inputs, pixels=pixtral_pixels, words=PIXTRAL_WORDS, eos=None,
        template=parts_template(before="[INST]", after="[/INST]", picture="[IMG]", opening=""),
        tensor=pixtral_tensor(2),
        vision=lambda c: vision_keys(c, use_silu=True, **{
            "vision.spatial_merge_size": 2, "vision.attention.layer_norm_epsilon": 1e-5})),
}


MODELS["gemma4-large"] = {**MODELS["gemma4"], "make": lambda: gemma4(large=True)}
MODELS["internvl-large"] = {**MODELS["internvl"], "make": lambda: internvl(large=True),
                            "arch": A.QWEN3}
MODELS["ministral3"] = {**MODELS["mistral3"], "make": ministral3, "arch": A.MISTRAL3}

# ---- making them --------------------------------------------------------------------------------


def randomise(model, seed):
    text_models.randomise(model, seed)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=random)
            if p.ndim >= 4:  # convolutions
                value = noise * 2.0 / (p.numel() / p.shape[0]) ** 0.5
            elif any(part in name for part in ("class_embedding", "cls_token",
                                               "position_embedding")):
                value = noise * 0.5
            elif "lambda_" in name:
                value = 1.0 + 0.3 * noise
            elif "mm_input_projection" in name:
                value = noise * 0.3 / p.shape[0] ** 0.5
            elif model.config.model_type == "gemma3" and "vision" in name and "norm" in name:
                value = (0.0 if name.endswith("bias") else 1.0) + 0.2 * noise
            else:
                continue
            p.copy_(value.to(torch.float16).to(torch.float32))
        for name, b in model.named_buffers():
            if "vision_tower" not in name or not name.endswith(BOUNDS + ("std_bias", "std_scale")):
                continue
            noise = torch.randn(b.shape, generator=random)
            if name.endswith(BOUNDS):
                noise = (1.0 + 0.5 * noise.abs()) * (-1 if name.endswith("_min") else 1)
            b.copy_(noise.to(torch.float16).to(torch.float32))


BOUNDS = ("input_min", "input_max", "output_min", "output_max")
MESSAGES = [{"role": "user", "content": [
    {"type": "text", "text": "Look:"}, {"type": "image"}, {"type": "text", "text": " and "},
    {"type": "image"}, {"type": "text", "text": " What is this?"}]}]


def make(name, spec, pictures):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    config, kind = spec["make"]()
    config._attn_implementation = "eager"
    tokenizer = make_tokenizer(folder, spec["words"], spec["template"], eos_token=spec["eos"])
    processor = spec["processor"]()
    inputs, texts, counts = spec["inputs"](processor, pictures, config)
    prompt = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    marker = spec.get("marker") or {"gemma3": "<start_of_image>"}.get(name, "<image>" if "<image>" in spec["words"] else
                                                "[IMG]" if "[IMG]" in spec["words"] else
                                                "<|image_pad|>")
    pieces = prompt.split(marker)
    prompt = pieces[0] + "".join(t + p for t, p in zip(texts, pieces[1:]))
    tokens = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    row = getattr(config, "image_token_id", None) or config.image_token_index
    assert tokens.count(row) == sum(counts), (tokens.count(row), counts)

    for seed in range(1, 100):
        model = kind(config).float().eval()
        randomise(model, seed)
        answer, gap, first = list(tokens), float("inf"), None
        with torch.no_grad():
            for _ in range(NEW_TOKENS):
                ids = torch.tensor([answer])
                types = (ids == row).int()
                more = {"token_type_ids": types} if name == "gemma3" else {}
                if "qwen" in name or "gemma4" in name:
                    more = {"mm_token_type_ids": types}
                logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs, **more,
                               use_cache=False).logits[0, -1]
                if first is None:
                    first = logits.numpy().copy()
                best = torch.topk(logits, 2).values
                gap = min(gap, float((best[0] - best[1]) / logits.abs().max()))
                answer.append(int(logits.argmax()))
                if answer[-1] == row:  # it would stand for one more row
                    gap = 0
                    break
        if gap > MARGIN and len(set(answer[len(tokens):])) >= 4:
            break
    else:
        raise SystemExit(f"{name}: no seed with a margin")
    with torch.no_grad():
        seen = getattr(model, "model", model).get_image_features(**inputs, return_dict=True)
        rows = seen.pooler_output
        if rows is None:
            rows = model.multi_modal_projector(seen.last_hidden_state)
        if isinstance(rows, (tuple, list)):
            rows = torch.cat([r.reshape(-1, r.shape[-1]) for r in rows])
        deep = getattr(seen, "deepstack_features", None) or []
        rows = torch.cat([rows, *(torch.cat(list(layer)) for layer in deep)], dim=-1)
        rows = rows.reshape(-1, rows.shape[-1]).numpy()
    assert len(rows) == sum(counts), (rows.shape, counts)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    processor.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    write_containers(folder, spec, config, tensors, tokenizer, processor)
    if not spec.get("whole"):
        save_file({n: v.astype(numpy.float16) for n, v in tensors.items()},
                  folder / "model.safetensors", metadata={"format": "pt"})
    tiles = spec["pixels"](inputs)
    colours = [[spec["colours"]] * 3] * 2 if "colours" in spec else [processor.image_mean,
                                                                     processor.image_std]
    mean, std = (numpy.array(v, F32)[:, None, None] for v in colours)
    raw = [(t.numpy() * std + mean) * 255 for t in tiles]
    assert max(numpy.abs(r - r.round()).max() for r in raw) < (0.5 if spec.get("rounded") else 1e-3)
    numpy.concatenate([r.round().astype(numpy.uint8).ravel() for r in raw]).tofile(folder / "pixels.u8")
    rows.astype("<f4").tofile(folder / "rows.f32")
    first.astype("<f4").tofile(folder / "logits.f32")
    (folder / "golden.json").write_text(json.dumps(dict(
        versions={**text_models.versions(), "PIL": PIL.__version__}, seed=seed, margin=gap,
        messages=MESSAGES, text=prompt, tokens=tokens, row_token=row, rows=counts,
        tiles=[list(t.shape[1:]) for t in tiles], first_pixels=tiles[0].ravel()[:8].tolist(), greedy=answer[len(tokens):])) + "\n")
    print(name, "seed", seed, "margin", round(gap, 5), text_models.size(folder))


def write_containers(folder, spec, config, tensors, tokenizer, processor):
    c = config.text_config
    language, tower = {}, {}
    for name, value in tensors.items():
        own = name
        for prefix in ("model.language_model.", "language_model.model.", "model.text_model."):
            if own.startswith(prefix):
                own = "model." + own.removeprefix(prefix)
        own = own.replace("language_model.lm_head", "lm_head")
        is_tower = any(part in own for part in ("visual", "vision", "projector", "connector",
                                                "newline"))
        (tower if is_tower else language)[own] = value
    if spec.get("whole"):
        write_language(folder, spec, c, language, tokenizer, spec.get("keys"))
    write_tower(folder, spec, spec["vision"](config), processor,
                tower, 8)


def main(wanted):
    pictures = write_pictures()
    for name, spec in MODELS.items():
        if not wanted or name in wanted:
            make(name, spec, list(pictures.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
