"""Reads the hand-written text files and turns their patterns into questions."""

import math
import random
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

TEXT = Path(__file__).parent / "text"
CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")
WORD = re.compile(r"\$(\w+)")

HOW = """how do i|how do i|how do i|how can i|how can i|how to|how to|how would i|how should i|how does one|how do you
how could i|how might i|how am i supposed to|what is the command to|which command do i use to|what do i type to
what do i need to do to|what must i do to|what should i run to|i want to|i would like to|i'd like to|i need to|can i
is it possible to|is there a way to|show me how to|tell me how to|explain how to|explain to me how to|help me|help me to
what is the best way to|what's the way to|the way to|could you tell me how to|can you show me how to|do you know how to
i am trying to|i'm trying to|teach me to|teach me how to|trying to|need to|want to|steps to|command to|where can i
what's the easiest way to|i do not know how to|i don't understand how to|any way to|is there an option to
is there a command to|is there a flag to|what flag do i need to|can hearth|does hearth let me|could i|may i|how shall i
which option lets me|what lets me|suppose i want to|my goal is to|i'd love to|would you tell me how to|what's required to
how exactly do i|in hearth, how do i|with hearth, how do i|what's a good way to|is it difficult to|say i want to|next i want to|if i want to {}, what do i type
to {}, what do i type|to {} i use which command|{}: how|{} - how do i do that|i want to {}, which flag is it|what if i want to {}|i need to {} but don't know how
how do people {}|when i want to {}, what do i do|i have to {}|i would love to {}, any hint|which command helps me to {}|i'd rather {}|i'm looking for a way to
i was told i can {}, how|my boss wants me to {}|we want to {}|how do we|how can we|is it hard to|what should i do to|what can i do to|what do i use to
i plan to {}, what do i need|please help, i want to {}|do you have a way to|is there something to|does it let me|will hearth let me|how would one|what's the trick to|
what would i type to|how does someone|i can't figure out how to|how|please
am i able to|what is needed to|let me|in what way can i|i wish to|what is the right way to|what's the command to||||"""
ABOUT = """what is|what is|what's|what is|tell me about|explain|describe|how does {} work|how do i use {}|what is {} for
what is {} good for|what does {} do|what does {} mean|what do you know about|what is the purpose of|when do i use {}
when should i use {}|when would i need {}|give me an example of|help with|info on|information about|i want to know about
i don't understand|can you explain|could you explain|what about|more about|what exactly is|define|how to use {}
why would i use {}|what is meant by|i have a question about|how do {} work|what are|what happens with|tell me what {} does
tell me what {} is|do you know|please explain|can you tell me about|what can {} do|what's {} for|what's the point of
does hearth have|is there|how should i use {}|i saw {} somewhere, what is it|i read about {}, what is that
someone mentioned {}, what does it do|why is there {}|what could i do with {}|the docs mention {}, what is that|can you tell me what {} does|what will {} do|who needs {}
what would {} do|{}: what is that|{} - what does it do|what effect does {} have|what role does {} play|say something about {}|is {} useful|show me|show me {} please|in a few words, what is||"""
VALUE = """what is|what's|tell me|what is|do you know|give me|can you tell me|please tell me|i need|i need to know|which is
what would be|where do i find|say|remind me of|what was|remind me what {} is|could you tell me|show me|find|how do i find
i forgot|i can't remember|could you remind me of|i am looking for|please give me|what might be|i'd like to know|i want to know|do you happen to know|would you tell me||"""
SYSTEM = """You are a helpful assistant.|You are a helpful assistant.|You are Hearth's built-in assistant.|Answer briefly.
Be brief.|You are a friendly assistant.|You are helpful and concise.|You answer questions about Hearth.|Be helpful.
You are an assistant that runs locally.|Answer the user's question.|You are a helpful AI.|Keep your answers short."""
NAMES = """Anna|Ben|Clara|David|Emma|Felix|Grace|Henry|Ida|Jack|Kate|Leo|Maria|Noah|Olivia|Paul|Rosa|Sam|Tina|Max
Alice|Bob|Peter|Lucy|Tom|Sarah|John|Mary|Alex|Julia|Mark|Laura|Chris|Nina|Omar|Priya|Wei|Yuki|Ivan|Elena|Jan|Eva
Adam|Agnes|Ahmed|Aisha|Albert|Amelia|Amy|Andrea|Andrew|Angela|Anton|Arthur|Astrid|Barbara|Beatrice|Bill|Brian|Carla|Carlos|Charlie|Charlotte
Chloe|Claire|Daniel|Daniela|Diana|Diego|Dora|Edward|Ella|Emil|Emily|Eric|Erika|Ethan|Fatima|Fiona|Frank|Frida|Gabriel|George|Gina|Greta|Hannah
Hans|Harry|Helen|Hugo|Igor|Ingrid|Isabel|Jacob|James|Jane|Jasmin|Jennifer|Jessica|Jim|Joe|Jonas|Joseph|Karen|Karl|Kevin|Kim|Lena|Liam|Lily|Linda
Lisa|Lukas|Magnus|Marco|Margaret|Martha|Martin|Matthew|Mei|Mia|Michael|Mike|Milan|Mohammed|Monica|Nadia|Natalie|Nicolas|Nora|Oscar|Otto|Pablo|Pavel
Petra|Phil|Rachel|Raj|Rebecca|Richard|Rita|Robert|Robin|Roger|Ruth|Samuel|Sandra|Sebastian|Simon|Sofia|Stefan|Stella|Steve|Susan|Tara|Theo|Thomas
Tim|Tobias|Ursula|Vera|Victor|Walter|Wendy|William|Xavier|Yasmin|Zoe|Zara"""

SYNONYMS = {
    "change": "alter|modify|switch|adjust|edit|update", "set": "specify|choose|configure|define|pick|adjust",
    "show": "display|print|list|reveal", "see": "view|check|look at|find out|know|inspect|find", "use": "employ|utilise|apply|work with",
    "get": "obtain|receive|have", "start": "launch|run|begin|fire up|open|kick off", "stop": "end|halt|quit|cut",
    "answer": "reply|response|output|text", "answers": "replies|responses|outputs", "reply": "answer|response",
    "model": "llm|language model|ai model|ai|neural network|gguf", "models": "llms|language models|ai models|networks",
    "machine": "computer|pc|laptop|box|device|workstation", "computer": "machine|pc|laptop", "server": "api|api server|service|http server|hearth server",
    "conversation": "chat|dialogue|session|talk|discussion", "chat": "conversation|dialogue|session", "make": "let|have|get",
    "text": "string|sentence|words|some text", "file": "document|path", "command": "subcommand|tool|instruction",
    "flag": "option|switch|parameter|argument", "option": "flag|switch|parameter|argument", "setting": "option|parameter|preference|config value",
    "settings": "options|preferences|configuration|parameters", "limit": "restrict|cap|bound|reduce", "run": "execute|start|launch|use",
    "length": "size|amount", "many": "numerous", "big": "large|huge", "check": "verify|test|see", "find": "locate|discover|get",
    "measure": "test|time|check|benchmark", "speed": "performance|pace|throughput", "fast": "quick|speedy", "slow": "sluggish",
    "save": "store|keep|write out", "load": "open|restore|read|import", "leave": "exit|quit|get out of", "number": "count|amount",
    "default": "standard|preset|usual", "several": "multiple|many|various|a few", "two": "2|a couple of", "list": "show|enumerate|print",
    "enable": "turn on|activate|switch on", "disable": "turn off|deactivate|switch off", "choose": "select|pick|set",
    "count": "tally|number", "need": "require", "give": "supply|provide|pass", "question": "prompt|query", "prompt": "question|input|query",
    "message": "prompt|input", "random": "varied|unpredictable", "network": "lan|local network|wifi", "reach": "access|connect to|get to",
    "access": "reach|use", "private": "confidential|secure", "tell": "inform", "help": "assist", "work": "function|operate", "like": "want",
    "connect": "link|hook up|attach", "web": "browser", "folder": "directory", "name": "call", "is": "'s", "and": "&", "with": "using",
    "program": "app|application|software|tool", "last": "previous|latest|most recent", "vector": "embedding", "clear": "reset|wipe|erase|delete",
    "want": "wish|need|hope|desire", "long": "lengthy", "short": "brief|small", "without": "lacking|with no", "sad": "unhappy|low|miserable|blue", "happy": "glad|cheerful|joyful",
    "funny": "amusing|hilarious|silly|witty", "great": "super|awesome|fantastic|excellent|splendid", "good": "fine|nice|decent|solid", "bad": "awful|poor|lousy|rotten|horrible",
    "talk": "speak|chat|converse|discuss", "talking": "speaking|chatting|writing", "really": "truly|actually|honestly", "very": "really|extremely|quite|rather|pretty|terribly",
    "human": "person|human being", "today": "this evening|this morning|right now|tonight|this afternoon", "now": "right now|at the moment|currently|at this point", "write": "compose|type|produce",
    "wrong": "incorrect|false|mistaken|off", "phone": "mobile|smartphone|mobile phone", "company": "firm|business|employer|workplace", "password": "passphrase|secret", "users": "people|clients|folks",
    "requests": "calls|queries", "keep": "hold|retain|preserve", "forget": "drop|discard|dismiss", "previous": "last|earlier|former", "terminal": "shell|console|command line|command prompt",
    "shell": "terminal|console|bash|zsh", "colleagues": "coworkers|workmates|teammates|people at work", "certificate": "cert|pem", "encrypted": "secured|protected|encoded", "browser": "firefox|chrome|safari",
    "configuration": "config|settings|setup", "internet": "web|net|wifi", "cores": "cpus|processors|cpu cores", "memory": "ram", "laptop": "notebook|macbook|pc|desktop|thinkpad", "large": "big|huge|sizable|giant",
    "small": "little|tiny|compact|mini", "smart": "clever|intelligent|bright", "allowed": "permitted|able|free", "available": "on offer|at hand|there|present", "problem": "issue|trouble|bug|fault",
    "error": "failure|problem|fault", "another": "a different|one more|an additional", "different": "another|other|separate", "quickly": "fast|swiftly|soon", "begin": "start|commence", "end": "finish|stop|terminate",
    "possible": "feasible|doable|allowed", "way": "means|method|possibility|approach", "put": "place|write|set", "type": "enter|write|key in", "words": "terms|phrases", "whole": "entire|complete|full",
    "my": "my|our|the", "can": "could|may|might", "should": "must|ought to|shall", "everything": "all|it all|the lot", "something": "anything|some thing", "friend": "buddy|pal|mate",
    "computer's": "machine's|pc's", "built": "made|created|compiled", "made": "built|created|written", "supported": "accepted|understood|handled|ok", "read": "load|open|parse|understand", "sent": "transmitted|passed on|handed",
    "data": "information|files|stuff", "prompts": "questions|inputs|messages", "listen": "wait|answer|accept connections", "used": "taken|employed|in use", "takes": "needs|requires|uses", "needed": "required|necessary|called for",
    "explain": "describe|tell me about|clarify", "describe": "explain|outline|characterise", "how": "how|in what way|by what means", "exactly": "precisely|actually", "easily": "simply|comfortably", "beginner": "newbie|novice|newcomer",
    "story": "tale", "poem": "verse|rhyme", "thanks": "thx|cheers|ta|thank you", "love": "like|adore", "times": "times|time", "kind": "sort|type|form", "kinds": "sorts|types", "people": "folks|persons|humans|others",
    "longer": "bigger|more extended", "higher": "larger|greater", "lower": "smaller|reduce", "tokens": "tokens|tokens|pieces", "likely": "probable", "likeliest": "most probable|best|most likely", "output": "text|answer|result",
    "generation": "generating|writing|output", "creative": "imaginative|original|inventive", "details": "particulars|facts|specifics", "shows": "displays|prints|tells|gives", "gives": "shows|returns|offers|yields",
}
STOPWORDS = set("how do i can to the a an is what which are of in with for my it does you me tell please would be there should that i'd on".split())


@dataclass
class Block:
    """One answer and the patterns of the questions that it answers."""

    name: str
    questions: list = field(default_factory=list)
    actions: list = field(default_factory=list)
    things: list = field(default_factory=list)
    values: list = field(default_factory=list)
    names: bool = False
    answer: str = ""

    def weight(self):
        """How often the block is drawn: more often when it has many patterns, or names to copy."""
        return (len(self.questions) + 2 * len(self.actions) + len(self.things) + len(self.values) + 3) ** 0.5 * (3 if self.names else 1)


def options(text):
    """Splits a list written with | and line ends."""
    return [piece for line in text.split("\n") for piece in line.split("|")]


SYLLABLES = """gun|ther|mar|li|bo|ro|san|ti|ka|el|ri|no|va|do|jo|se|fi|lo|wil|ma|be|tha
os|ca|ni|la|ul|re|hen|da|mi|ko|ya|ste|phan|cor|du|za|ph|ie|an|ton|ge|ne|vie|ve"""
HOW, ABOUT, VALUE, SYSTEM, NAMES, SYLLABLES = (options(text) for text in (HOW, ABOUT, VALUE, SYSTEM, NAMES, SYLLABLES))
SYNONYMS = {word: options(others) for word, others in SYNONYMS.items()}


def read_blocks(path):
    """Reads a file of [name] blocks, which may be continued later; the block [words] defines $words."""
    blocks, words = {}, {}
    for line in path.read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("["):
            block = blocks.setdefault(line.strip("[]"), Block(line.strip("[]")))
            continue
        if block.name == "words":
            key, value = line.split(" = ", 1)
            words[key] = value
            continue
        key, value = line.split(": ", 1)
        value = WORD.sub(lambda match: words[match[1]], value)
        add_line(block, key, value)
    return [block for block in blocks.values() if block.name != "words"]


def add_line(block, key, value):
    """Adds one line of a text file to its block."""
    if key == "a":
        block.answer = value
    elif key == "names":
        block.names = True
    else:
        {"q": block.questions, "do": block.actions, "about": block.things, "value": block.values}[key].append(value)


def expand(pattern, rng):
    """Chooses one piece of every {x|y}, the innermost first."""
    while match := CHOICE.search(pattern):
        pattern = pattern[: match.start()] + rng.choice(match[1].split("|")) + pattern[match.end() :]
    return " ".join(pattern.split())


@lru_cache(maxsize=None)
def variety(pattern):
    """The weight of a pattern: more the more wordings it has, but far from in proportion."""
    return math.prod(match[1].count("|") + 1 for match in CHOICE.finditer(pattern)) ** 0.3


def choose(patterns, rng):
    """One of some patterns, by their weights."""
    return rng.choices(patterns, [variety(pattern) for pattern in patterns])[0]


def put_in_frame(frame, phrase):
    """Puts a phrase into the {} of a frame, or behind a frame that has none."""
    return frame.replace("{}", phrase) if "{}" in frame else f"{frame} {phrase}".strip()


def ask(block, rng):
    """One question for a block, in lower case and without a question mark."""
    kinds = [(block.questions, [""], len(block.questions)), (block.actions, HOW, 4 * len(block.actions)),
             (block.things, ABOUT, 2 * len(block.things)), (block.values, VALUE, 2 * len(block.values))]
    patterns, frames, _ = rng.choices(kinds, [min(kind[2], limit) for kind, limit in zip(kinds, (20, 12, 8, 8))])[0]
    question = put_in_frame(rng.choice(frames), expand(choose(patterns, rng), rng))
    return question


def read_beyond(path):
    """Reads beyond.txt: its frames, the lists for them, whole questions and the one answer."""
    parts = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            key, value = line.split(": ", 1)
            parts.setdefault(key, []).append(value)
    lists = {key: parts[key][0].split(", ") for key in ("topic", "person", "place", "work")}
    return parts["frame"], lists, parts["q"], parts["a"][0]


def ask_beyond(beyond, rng):
    """A question that the model cannot answer, and what it says instead."""
    frames, lists, questions, answer = beyond
    frame = choose(questions, rng) if rng.random() < 0.4 else rng.choice(frames)
    for key, values in lists.items():
        frame = frame.replace("{" + key + "}", rng.choice(values))
    return expand(frame, rng), answer


def read_dialogues(path):
    """Reads dialogues.txt as lists of (role, pattern)."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    return [[tuple(line.split(": ", 1)) for line in part.split("\n")] for part in text.strip().split("\n\n")]


def replace_synonyms(question, rng):
    """Replaces a few words by others of about the same meaning."""
    words = [rng.choice(SYNONYMS[word]) if word in SYNONYMS and rng.random() < 0.18 else word for word in question.split()]
    return " ".join(words).replace(" 's", "'s")


def drop_stopwords(question):
    """Keyword style: only the words that carry meaning."""
    words = [word for word in question.split() if word not in STOPWORDS]
    return " ".join(words) if len(words) >= 2 else question


def add_typo(question, rng):
    """Swaps, drops or doubles one letter of a longer word."""
    places = [match for match in re.finditer(r"\b[a-z]{5,}\b", question)]
    if not places:
        return question
    match = rng.choice(places)
    at = rng.randrange(match.start() + 1, match.end() - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return question[:at] + question[at + 1] + question[at] + question[at + 2 :]
    return question[:at] + (question[at + 1 :] if kind == 1 else question[at] + question[at:])


OPENERS = options("please|hi, |hello, |hey, |hey hearth, |hi! |hello! |quick question: |ok, |so |and |well, |question: |sorry, "
                  "|tell me, |can you tell me |could you please tell me |i have a question: |please tell me |excuse me, |hi there, "
                  "|just wondering, |i was wondering, |by the way, |actually, |maybe you know: |a newbie question: |for my project: |as a beginner, |my friend asks: |"
                  "i read the docs, but |one question: |just out of curiosity, |hello hearth, |help: |a short one: |hmm, |oh, |listen, |now tell me: |dear hearth, |"
                  "one more thing: |now, |ok so |also, |then |do you know |i'm new here, |okay, |hm, ")
CLOSERS = options(" please| please| thanks|, thanks|, thank you|, please| then| exactly| here| now| again| quickly| for me|, any idea| right now| today| if i may ask|, please|, if possible| in hearth| with hearth|, right| on this machine| anyway|, do you know")
PROPER = re.compile(r"\b(i|hearth|openai|gguf|api|cpu|gpu|json|https|http|c\+\+)(?=\b|'|\s|$)")
PROPER_FORMS = {"i": "I", "hearth": "Hearth", "openai": "OpenAI", "gguf": "GGUF", "api": "API", "cpu": "CPU", "gpu": "GPU",
                "json": "JSON", "https": "HTTPS", "http": "HTTP", "c++": "C++"}


def disturb(question, rng):
    """Leaves out one word, or lets two neighbours change places."""
    words = question.split()
    if len(words) < 5:
        return question
    at = rng.randrange(len(words) - 1)
    if rng.random() < 0.6:
        del words[at]
    else:
        words[at], words[at + 1] = words[at + 1], words[at]
    return " ".join(words)


def capitalise(question):
    """Writes a question as a careful writer would: first letter, names and "I" in capitals."""
    question = PROPER.sub(lambda match: PROPER_FORMS[match[1]], question) if "--" not in question and "/" not in question else question
    question = re.sub(r"(?<=[a-z][.!?] )[a-z]", lambda match: match[0].upper(), question)
    return question[:1].upper() + question[1:] if question[:1].isalpha() and not question.startswith("--") else question


def dress(question, rng, plain=False):
    """Varies a question's words, politeness, case, spelling and punctuation; plain leaves the words alone."""
    if not plain:
        if rng.random() < 0.45:
            question = replace_synonyms(question, rng)
        if rng.random() < 0.05:
            question = drop_stopwords(question)
        if rng.random() < 0.06:
            question = disturb(question, rng)
    if rng.random() < 0.15:
        opener = rng.choice(OPENERS)
        question = f"{opener.rstrip()} {question}"
    if rng.random() < 0.08:
        question += rng.choice(CLOSERS)
    if rng.random() < 0.09:
        question = add_typo(question, rng)
    style = rng.random()
    if style < 0.5:
        question = capitalise(question)
    elif style < 0.55:
        question = question.upper() if rng.random() < 0.3 else question.title() if rng.random() < 0.3 else question
    return question if question[-1] in "?!." else question + rng.choice(["?", "?", "?", "", "", ".", "??" if rng.random() < 0.1 else ""])


def normalise(question):
    """A question's words only, for comparing wordings."""
    return " ".join(re.sub(r"[^a-z0-9+*/%.°-]+", " ", question.lower()).replace("?", "").strip(" .").split())


def pick_name(rng):
    """A first name, known or made of syllables, so that copying is learned rather than a list."""
    if rng.random() < 0.6:
        return rng.choice(NAMES)
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.choice((2, 2, 3)))).capitalize()


def seeded(seed):
    """A random generator of its own."""
    return random.Random(seed)
