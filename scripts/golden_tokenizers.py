#!/usr/bin/env python3
"""Makes tests/golden/text/: small tokenizers of every kind, and what the reference implementations
make of tricky texts.  Needs the Python packages tokenizers and sentencepiece; versions and seed are
recorded in the files.

Usage: scripts/golden_tokenizers.py [--update]
Without --update it only says which files would change.
"""
import json
import os
import random
import sys
import tempfile

import sentencepiece
import tokenizers
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

OUT = os.path.join(os.path.dirname(__file__), "..", "tests", "golden", "text")
SEED = 7

TEXTS = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\n\n\n", "\t\n", "a", "Hello world", " Hello world",
    "Hello World!", "  Hello  (normal) text ", "this is 🦙.cpp, w048 7tuijk dsdfhu",
    "нещо на Български", "កាន់តែពិសេសអាចខលចេញ", "🚀 (normal) 😶‍🌫️ (multiple emojis concatenated) ✅ (only emoji)",
    "Hello,\r\n y'all! How are you 😁 ?我想在apple工作1314151天～", "3", "33", "333333333",
    "1234567 89 1,000,000.50 x²³ ½ Ⅷ ٣٤", "I've been 'told he's there, 'RE you sure? 'M not, We'Ve a'lL 'ſ",
    "Führer é é e\u0301 Å \u212b ﬁ ﬀ ǅ İI ı ß ẞ Σίσυφος", "naïve café\u0301 résumé\u0300\u0301 →e\u0301 x→é",
    "日本語のテキスト、カタカナー。ｶﾞ ﾊﾟ 漢字々〇", "한국어 텍스트 ㄱㄴㄷ 각", "ไทย ภาษา ລາວ ခ", "हिन्दी क्षि বাংলা தமிழ்",
    "עברית العربية، ۔ ‏", "a\u00a0b\u2003c\u3000d\u200be\ufefff\u00adg\u2028h\u2029i\u0085j",
    "x\x00y\x01z\x7f\x0b\x0c\x1b", "<s> </s> <unk> [CLS] [SEP] <|endoftext|> <|im_end|>",
    "<mask> word<mask>word <mask>. a <mask> b", "pre<tool>post <tool> user_1 user_ user", "don't can't won't it's they're I'm we've",
    "def f(x):\n    return x + 1\n\n\nclass A:\n\tpass\n", "http://example.com/a_b-c?d=e&f=g#h",
    "\"quoted\" 'single' `code` ``text'' ... --- !!! ???", "a/b\\c|d~e^f$g+h<i=j>k", "  leading", "trailing  ",
    "CamelCaseWord HTTPServer iPhone XMLHttp ABCdef", "\u0301lone mark \u0300\u0301 \u20e3",
    "▁ ▁▁ a▁b ▁c", "＃fullwidth ＡＢＣ １２３ ！？", "𝕳𝖊𝖑𝖑𝖔 𝟙𝟚 𐐀𐐨 🇩🇪🇯🇵 👩‍👩‍👧‍👦 👍🏽",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b",
    " \n \n  x \n\n y\n ", "\r\n\r\nz \r w", "the quick brown fox jumps over the lazy dog. The Quick Brown Fox",
]
CORPUS = TEXTS * 3 + [
    "the quick brown fox jumps over the lazy dog and the other dog was there with the fox",
    "it was the best of times, it was the worst of times, it was the age of wisdom",
    "there is nothing either good or bad, but thinking makes it so, and so it goes on",
    "where there is a will there is a way; the way that can be told is not the way",
    "на изток и на запад нищо ново, нещо на български език", "日本語 日本 本日 テキスト テキスト",
    "return x + 1 return y + 2 def f(x): def g(y): class A: class B:", "1000 2000 300 400 500 12 34 56",
] * 4


def trained(tokenizer, trainer):
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def special(*names, **flags):
    return [AddedToken(name, special=True, normalized=False, **flags) for name in names]


def byte_bpe(size=420, **options):
    return Tokenizer(models.BPE(**options)), trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=special("<|endoftext|>"), show_progress=False)


def gpt2():
    t, trainer = byte_bpe()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return trained(t, trainer)


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def llama3():
    t, trainer = byte_bpe(ignore_merges=True)
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    trained(t, trainer)
    t.add_special_tokens(special("<|im_start|>", "<|im_end|>"))
    t.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|im_start|> $A", pair="<|im_start|> $A $B",
                                      special_tokens=[("<|im_start|>", t.token_to_id("<|im_start|>"))])])
    return t


def qwen2():
    t, trainer = byte_bpe()
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3.replace("{1,3}", "")), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    trained(t, trainer)
    t.add_tokens([AddedToken("<tool>", special=False, normalized=True),
                  AddedToken("user", single_word=True, normalized=False),
                  AddedToken("→é", normalized=True)])
    return t


def roberta():
    t, trainer = byte_bpe()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.decoder = decoders.ByteLevel()
    trained(t, trainer)
    t.add_special_tokens(special("<s>", "</s>", "<unk>") +
                         [AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")),
                                                    ("<s>", t.token_to_id("<s>")))
    return t


def deepseek():
    t, trainer = byte_bpe()
    split = lambda regex: pre_tokenizers.Split(Regex(regex), "isolated")
    t.normalizer = normalizers.Sequence([])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        split(r"\p{N}{1,3}"), split("[一-龥\u3040-\u309f\u30a0-\u30ff]+"),
        split("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
              "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    return trained(t, trainer)


def falcon():
    t, trainer = byte_bpe()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
    t.decoder = decoders.ByteLevel()
    return trained(t, trainer)


def gpt4_inverted():
    t, trainer = byte_bpe()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(O200K), "removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False, trim_offsets=False)])
    t.decoder = decoders.ByteLevel()
    return trained(t, trainer)


def byte_names():
    return [f"<0x{byte:02X}>" for byte in range(256)]


def spm_bpe(names=("<unk>", "<s>", "</s>")):
    """A BPE over visible spaces, with byte tokens, as converters of SentencePiece models write it."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(vocab_size=640, special_tokens=list(names) + byte_names(),
                                  limit_alphabet=60, show_progress=False)
    trained(t, trainer)
    state = json.loads(t.to_str())
    state["added_tokens"] = [a for a in state["added_tokens"] if a["content"] in names]
    # Words may not hold each other's spaces, as in SentencePiece.
    bad = {w for w in state["model"]["vocab"] if "▁" in w[1:]}
    merges = [m for m in state["model"]["merges"] if not set(m + ["".join(m)]) & bad]
    state["model"]["merges"] = merges
    return state


def llama2():
    t = Tokenizer.from_str(json.dumps(spm_bpe()))
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                     special_tokens=[("<s>", 1)])
    return t


def gemma():
    t = Tokenizer.from_str(json.dumps(spm_bpe()))
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    t.add_tokens(["\n\n", "  "])
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A $B",
                                                     special_tokens=[("<s>", 1), ("</s>", 2)])
    return t


def mistral():
    t = Tokenizer.from_str(json.dumps(spm_bpe()))
    t.normalizer = None
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    return t


def unk_bpe():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    return trained(t, trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>"], limit_alphabet=40,
                                          show_progress=False))


def clip():
    t = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", fuse_unk=False))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "),
                                         normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed",
                             invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    trained(t, trainers.BpeTrainer(vocab_size=700, end_of_word_suffix="</w>",
                                   initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                   special_tokens=special("<|startoftext|>", "<|endoftext|>"),
                                   show_progress=False))
    start, end = (t.token_to_id(n) for n in ("<|startoftext|>", "<|endoftext|>"))
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", end), ("<|startoftext|>", start),
                                                    trim_offsets=False, add_prefix_space=False)
    return t


def old_bpe():
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.BPEDecoder("</w>")
    return trained(t, trainers.BpeTrainer(vocab_size=400, end_of_word_suffix="</w>", limit_alphabet=60,
                                          special_tokens=["<unk>"], show_progress=False))


def prefix_bpe():
    t = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.decoder = decoders.WordPiece(cleanup=False)
    return trained(t, trainers.BpeTrainer(vocab_size=400, continuing_subword_prefix="##", limit_alphabet=60,
                                          special_tokens=["[UNK]"], show_progress=False))


def bert(lowercase=True):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    trained(t, trainers.WordPieceTrainer(vocab_size=500, limit_alphabet=120, show_progress=False,
                                         special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return t


def wordlevel():
    t = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    t.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    return trained(t, trainers.WordLevelTrainer(vocab_size=200, special_tokens=["[UNK]"], show_progress=False))


def ctc():
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|"] + list("ETAOINHSRDLUMWCFGYPBVK'XJQZ")
    t = Tokenizer(models.WordLevel({w: i for i, w in enumerate(letters)}, unk_token="<unk>"))
    t.normalizer = normalizers.Replace(" ", "|")
    t.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    t.decoder = decoders.CTC()
    t.add_special_tokens(special("<pad>", "<s>", "</s>", "<unk>"))
    return t


def unigram(**options):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(),
                                         normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    trained(t, trainers.UnigramTrainer(vocab_size=400, unk_token="<unk>", show_progress=False,
                                       special_tokens=["<pad>", "</s>", "<unk>"], **options))
    t.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>",
                                                     special_tokens=[("</s>", 1)])
    return t


def albert():
    t = unigram()
    t.normalizer = normalizers.Sequence([
        normalizers.Replace("``", "\""), normalizers.Replace("''", "\""), normalizers.NFKD(),
        normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Precompiled(small_charsmap()),
        normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return t


def t5():
    t = unigram()
    t.normalizer = normalizers.Precompiled(small_charsmap())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(),
                                               pre_tokenizers.Metaspace(prepend_scheme="first")])
    return t


def unigram_bytes():
    state = json.loads(unigram().to_str())
    # "." ".." and ".." "." are equally likely: which of them wins is a matter of rounding.
    state["model"]["vocab"] = [[name, score] for name, score in state["model"]["vocab"]
                               if len(name) < 2 or len(set(name)) > 1]
    state["model"]["vocab"] += [[name, -20.0] for name in byte_names()]
    state["model"]["byte_fallback"] = True
    state["pre_tokenizer"] = None
    state["normalizer"] = normalizers_json(normalizers.Replace(" ", "▁"))
    t = Tokenizer.from_str(json.dumps(state))
    t.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="never")])
    return t


def normalizers_json(normalizer):
    t = Tokenizer(models.BPE())
    t.normalizer = normalizer
    return json.loads(t.to_str())["normalizer"]


def pretokenizer_json(pre):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre
    return json.loads(t.to_str())["pre_tokenizer"]


RULES = [("ﬁ", "fi"), ("ﬀ", "ff"), ("\u212b", "\u00c5"), ("½", "1/2"), ("ｶﾞ", "ガ"), ("\u00a0", " "), ("\u3000", " "),
         ("\t", " "), ("\n", " "), ("e\u0301", "\u00e9"), ("\u200b", ""), ("Ａ", "A"), ("ＡＢ", "AB!"), ("～", "~")]


def small_charsmap():
    return spm_model("unigram", 300).normalizer_spec.precompiled_charsmap


_models = {}


def spm_bytes(kind, size, **options):
    key = (kind, size, tuple(sorted(options.items())))
    if key not in _models:
        with tempfile.TemporaryDirectory() as folder:
            corpus = os.path.join(folder, "corpus.txt")
            with open(corpus, "w", encoding="utf-8") as f:
                f.write("\n".join(line.replace("\n", " ").replace("\x00", "") for line in CORPUS))
            rules = os.path.join(folder, "rules.tsv")
            with open(rules, "w", encoding="utf-8") as f:
                for before, after in RULES:
                    hexes = lambda s: " ".join(f"{ord(c):X}" for c in s)
                    f.write(f"{hexes(before)}\t{hexes(after)}\n")
            prefix = os.path.join(folder, "m")
            sentencepiece.SentencePieceTrainer.train(
                input=corpus, model_prefix=prefix, model_type=kind, vocab_size=size, num_threads=1,
                normalization_rule_tsv=rules, minloglevel=2, hard_vocab_limit=False, character_coverage=0.98, **options)
            with open(prefix + ".model", "rb") as f:
                _models[key] = f.read()
    return _models[key]


def spm_model(kind, size, **options):
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(spm_bytes(kind, size, **options))
    return proto


WHOLE = {f.__name__: f for f in (gpt2, llama3, qwen2, roberta, deepseek, falcon, gpt4_inverted, llama2, gemma,
                                 mistral, unk_bpe, clip, old_bpe, prefix_bpe, bert, wordlevel, ctc, unigram,
                                 albert, t5, unigram_bytes)}
WHOLE["bert_cased"] = lambda: bert(lowercase=False)

NORMALIZERS = {
    "bert": normalizers.BertNormalizer(), "bert_plain": normalizers.BertNormalizer(False, False, False, False),
    "bert_cased": normalizers.BertNormalizer(lowercase=False), "bert_accents": normalizers.BertNormalizer(
        strip_accents=False), "strip": normalizers.Strip(), "strip_left": normalizers.Strip(True, False),
    "strip_right": normalizers.Strip(False, True), "strip_accents": normalizers.StripAccents(),
    "nfc": normalizers.NFC(), "nfd": normalizers.NFD(), "nfkc": normalizers.NFKC(), "nfkd": normalizers.NFKD(),
    "lowercase": normalizers.Lowercase(), "nmt": normalizers.Nmt(), "byte_level": normalizers.ByteLevel(),
    "replace": normalizers.Replace("e", "<e>"), "replace_regex": normalizers.Replace(Regex(r"\d+|\s{2,}"), "#"),
    "prepend": normalizers.Prepend("▁x"), "precompiled": None,
    "sequence": normalizers.Sequence([normalizers.NFKD(), normalizers.Sequence([
        normalizers.StripAccents(), normalizers.Lowercase()])]),
}
BEHAVIORS = ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")
PRE_TOKENIZERS = {
    "bert": pre_tokenizers.BertPreTokenizer(), "byte_level": pre_tokenizers.ByteLevel(),
    "byte_level_plain": pre_tokenizers.ByteLevel(False, use_regex=False),
    "delimiter": pre_tokenizers.CharDelimiterSplit("e"), "metaspace": pre_tokenizers.Metaspace(),
    "metaspace_first": pre_tokenizers.Metaspace(prepend_scheme="first"),
    "metaspace_never": pre_tokenizers.Metaspace(prepend_scheme="never"),
    "metaspace_whole": pre_tokenizers.Metaspace("_", "always", split=False),
    "whitespace": pre_tokenizers.Whitespace(), "whitespace_split": pre_tokenizers.WhitespaceSplit(),
    "digits": pre_tokenizers.Digits(), "digits_each": pre_tokenizers.Digits(True),
    "unicode_scripts": pre_tokenizers.UnicodeScripts(), "fixed_length": pre_tokenizers.FixedLength(3),
    "split_empty": pre_tokenizers.Split(Regex(r"(?=\d)"), "isolated"),
    "split_lines": pre_tokenizers.Split(Regex(r"^|\s+$"), "isolated"),
    "sequence": pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(
        prepend_scheme="first"), pre_tokenizers.Punctuation()]),
    "gpt2": pre_tokenizers.Split(Regex(
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"), "isolated"),
    "llama3": pre_tokenizers.Split(Regex(LLAMA3), "isolated"), "o200k": pre_tokenizers.Split(Regex(O200K), "isolated"),
    "llama3_removed": pre_tokenizers.Split(Regex(LLAMA3), "removed", invert=True),
}
for behavior in BEHAVIORS:
    PRE_TOKENIZERS["punctuation_" + behavior] = pre_tokenizers.Punctuation(behavior)
    PRE_TOKENIZERS["split_" + behavior] = pre_tokenizers.Split("a", behavior)
    PRE_TOKENIZERS["split_regex_" + behavior] = pre_tokenizers.Split(Regex(r"\w\d|[eo]"), behavior)
    PRE_TOKENIZERS["split_inverted_" + behavior] = pre_tokenizers.Split(Regex(r"[a-f]+"), behavior, invert=True)


def whole_case(name):
    t = WHOLE[name]()
    rng = random.Random(SEED)
    size = t.get_vocab_size()
    rows = []
    for i, text in enumerate(TEXTS):
        try:
            ids = t.encode(text).ids
        except Exception:  # a model without an unknown token
            continue
        plain = t.encode(text, add_special_tokens=False).ids
        t.encode_special_tokens = True
        untrusted = t.encode(text, add_special_tokens=False).ids
        t.encode_special_tokens = False
        row = {"text": i, "ids": ids, "decoded": t.decode(ids), "with_special": t.decode(ids, False)}
        if plain != ids:
            row["plain"] = plain
        # The reference lets a model make special tokens of text; Hearth does not.
        hidden = {i for i, token in t.get_added_tokens_decoder().items() if token.special}
        if hidden & set(untrusted) - {t.token_to_id(getattr(t.model, "unk_token", None) or "")}:
            row["untrusted"] = None
        elif untrusted != plain:
            row["untrusted"] = untrusted
        rows.append(row)
    decodes = []
    for _ in range(25):
        ids = [rng.randrange(size) for _ in range(rng.randrange(1, 12))]
        decodes.append({"ids": ids, "decoded": t.decode(ids), "with_special": t.decode(ids, False)})
    return {"tokenizer": json.loads(t.to_str()), "rows": rows, "decodes": decodes}


def piece_model(parts):
    """A WordPiece of single characters: its ids tell both the text of every piece and its ends."""
    characters = sorted({c for pieces in parts for piece in pieces for c in piece})
    vocab = {"[UNK]": 0}
    for c in characters:
        for name in (c, "##" + c):
            vocab.setdefault(name, len(vocab))
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100000, "vocab": vocab}


def part_cases():
    cases = []
    for name, normalizer in NORMALIZERS.items():
        normalizer = normalizer or normalizers.Precompiled(small_charsmap())
        cases.append((("normalizer", name), normalizers_json(normalizer), None,
                      [[normalizer.normalize_str(text)] for text in TEXTS]))
    for name, pre in PRE_TOKENIZERS.items():
        pieces = [[piece for piece, _ in pre.pre_tokenize_str(text)] for text in TEXTS]
        cases.append((("pre_tokenizer", name), None, pretokenizer_json(pre), pieces))
    model = piece_model([p for case in cases for p in case[3]])
    out = []
    for (kind, name), normalizer, pre, pieces in cases:
        out.append({"kind": kind, "name": name, kind: normalizer or pre, "pieces": pieces})
        # The model sees what the pieces say.
        t = Tokenizer.from_str(json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
                                           "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": None,
                                           "decoder": None, "model": model}))
        for text, expected in zip(TEXTS, pieces):
            ids = [model["vocab"][c if i == 0 else "##" + c] for p in expected for i, c in enumerate(p)]
            got = t.encode(text).ids
            if ids != got and name != "fixed_length":
                print(f"note: {kind} {name}: {text!r}: pieces and ids differ", file=sys.stderr)
    return out


def sentencepiece_cases():
    kinds = {
        "bpe": ("bpe", 300, {}),
        "bpe_bytes": ("bpe", 620, {"byte_fallback": True, "user_defined_symbols": "<tool>,user_1,▁▁",
                                   "remove_extra_whitespaces": False}),
        "unigram": ("unigram", 300, {}),
        "unigram_bytes": ("unigram", 560, {"byte_fallback": True, "add_dummy_prefix": False,
                                           "user_defined_symbols": "<tool>,user_1", "control_symbols": "<ctl>"}),
        "unigram_suffix": ("unigram", 300, {"treat_whitespace_as_suffix": True}),
    }
    out = {}
    for name, (kind, size, options) in kinds.items():
        data = spm_bytes(kind, size, **options)
        sp = sentencepiece.SentencePieceProcessor(model_proto=data)
        rows = []
        for i, text in enumerate(TEXTS):
            if kind == "unigram" and text.startswith("aaaa"):
                continue  # of equally likely cuts, rounding decides
            ids = sp.encode(text)
            rows.append({"text": i, "ids": ids, "decoded": sp.decode(ids)})
        out[name] = (data, rows)
    return out


def main():
    update = "--update" in sys.argv
    head = {"tokenizers": tokenizers.__version__, "sentencepiece": sentencepiece.__version__, "seed": SEED}
    files = {"texts.json": {**head, "texts": TEXTS}, "parts.json": {**head, "cases": part_cases()}}
    for name in WHOLE:
        files[f"{name}.json"] = whole_case(name)
    rows = {}
    for name, (data, cases) in sentencepiece_cases().items():
        files[f"spm_{name}.model"] = data
        rows[name] = cases
    files["sentencepiece.json"] = {**head, "models": rows}
    total = 0
    for name, content in files.items():
        if not isinstance(content, bytes):
            content = (json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
        total += len(content)
        path = os.path.join(OUT, name)
        old = open(path, "rb").read() if os.path.exists(path) else None
        if old != content:
            print(("writes " if update else "would change ") + name)
            if update:
                with open(path, "wb") as f:
                    f.write(content)
    print(f"{len(files)} files, {total} bytes")


main()
