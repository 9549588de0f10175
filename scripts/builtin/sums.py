"""Questions about simple arithmetic, with answers that show digits plainly."""

SMALL_WORDS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS_WORDS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
PEOPLE = "anna|ben|clara|david|emma|felix|grace|henry|ida|jack|maria|paul|sam|tina|tom|lucy|my brother|my mother|the teacher".split("|")
THINGS = "apples|books|coins|cookies|eggs|euros|dollars|pencils|marbles|stamps|cards|oranges|sweets|cats|pounds|bottles|models|files|tickets".split("|")

FRAMES = """{}|{}|{} =|{} = ?|what is {}|what is {}|what is {}|what's {}|what's {}|how much is {}|how much is {}|calculate {}|calculate {}
compute {}|work out {}|solve {}|can you tell me what {} is|tell me {}|do you know what {} is|what does {} make|what does {} equal
evaluate {}|find {}|give me the result of {}|what is the result of {}|{} equals|i need {}|can you compute {}|could you work out {}
the answer to {}|let me know what {} is|can you calculate {}|how many is {}|what do i get for {}|what will {} be|what do you get for {}
please compute {}|figure out {}|tell me what {} is|result of {}|{} is what|{} makes what|{} equals what|can you do {}|determine {}
what is the answer to {}|what would {} be|i want to know {}|how much does {} make|what's the value of {}|do the sum {}|try {}
i'd like to know what {} is|could you calculate {}|my homework asks {}|help me with {}|what number is {}|does anyone know {}
{}, what does it give|what comes out of {}|what does {} come to|how much will {} give|quick, {}|i have to work out {}|my son asks what {} is|i wonder what {} is|do {} for me
check {} for me|could i have {}|what do we get for {}|what's the answer to {}|what's the result of {}|give me {}|show me {}|i forgot what {} is|how would you work out {}
{} comes to what|{} is what number|{}, answer please|i can't do {} in my head|{}, how much is that|what number do i get for {}|please tell me {}|{} results in what|{} yields what
tell me the result of {}|what is the outcome of {}|remind me what {} is|once more, what is {}|{}, what is it|{} should be what|are you able to work out {}|any idea what {} is
how much do i get for {}|can you solve {}|would you calculate {}|the result of {} please|i'd like the result of {}|{} - how much|how much would {} make|say what {} is
what do you think {} is|and what is {}|now {}|next: {}|exercise: {}|the exercise says {}|please do {}|use your head: {}|i am stuck with {}|let's see, {}|answer this: {}""".replace("\n", "|").split("|")


def show(value):
    """A number without needless decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def in_words(number):
    """The English words of a number below 100."""
    if number < 20:
        return SMALL_WORDS[number]
    tens, ones = divmod(number, 10)
    return TENS_WORDS[tens] + (f"{'-'}{SMALL_WORDS[ones]}" if ones else "")


def spell(number, rng):
    """Words for most small numbers."""
    return in_words(number) if isinstance(number, int) and 0 <= number < 100 and rng.random() < 0.75 else show(number)


def story(rng, *patterns):
    """One of some word problems; {t} is a kind of thing, {n} and {m} are names."""
    name, other = rng.sample(PEOPLE, 2)
    return rng.choice(patterns).replace("{t}", rng.choice(THINGS)).replace("{n}", name).replace("{m}", other)


def add_columns(a, b):
    """The school way of adding, column by column from the right."""
    steps, carry = [], 0
    for place in range(max(len(str(a)), len(str(b)))):
        x, y = a // 10**place % 10, b // 10**place % 10
        steps.append(f"{x} + {y}{' + 1' if carry else ''} = {x + y + carry}")
        carry = (x + y + carry) // 10
    return f"{a} + {b}: {', '.join(steps)}, so {a} + {b} = {a + b}."


def subtract_columns(a, b):
    """The school way of subtracting: ten is added to a digit that is too small, and 1 borrowed from the next."""
    steps, borrow = [], 0
    for place in range(len(str(a))):
        x, y = a // 10**place % 10, b // 10**place % 10
        lacking = x < y + borrow
        x += 10 * lacking
        steps.append(f"{x} - {y}{' - 1' if borrow else ''} = {x - y - borrow}")
        borrow = int(lacking)
    return f"{a} - {b}: {', '.join(steps)}, so {a} - {b} = {a - b}."


def answer_add(a, b):
    """Direct up to two digits, in columns beyond."""
    return add_columns(a, b) if max(a, b) > 99 else f"{a} + {b} = {a + b}."


def answer_subtract(a, b):
    """Direct up to two digits, in columns beyond."""
    return subtract_columns(a, b) if a > 99 and a >= b else f"{a} - {b} = {a - b}."


def answer_multiply(a, b):
    """The times table directly, larger products split into tens and ones."""
    if max(a, b) <= 12 or is_round(a) or is_round(b) and b > 9:
        return f"{a} × {b} = {a * b}."
    if b < a and a < 1000 and b <= 12:
        return split_product(a, b, f"{a} × {b}", [part for part in parts(a)], b)
    if a < b and b < 1000 and a <= 12:
        return split_product(b, a, f"{a} × {b}", [part for part in parts(b)], a)
    return split_product(b, a, f"{a} × {b}", [part for part in parts(b)], a)


def is_round(number):
    """Whether a number is one digit followed by zeros."""
    return number == 1 or number > 9 and set(str(number)[1:]) == {"0"}


def parts(number):
    """A number as hundreds, tens and ones."""
    return [int(digit) * 10 ** (len(str(number)) - 1 - place) for place, digit in enumerate(str(number)) if digit != "0"]


def split_product(whole, factor, question, pieces, other):
    """Shows a product as the sum of the products of its parts."""
    if len(pieces) == 1:
        return f"{question} = {whole * factor}."
    terms = " + ".join(f"{piece} × {other}" for piece in pieces)
    values = " + ".join(str(piece * other) for piece in pieces)
    return f"{question} = {terms} = {values} = {whole * factor}."


def answer_divide(a, b):
    """The quotient, with the remainder and decimals when it is not whole."""
    if a % b == 0:
        return f"{a} ÷ {b} = {a // b}."
    return f"{a} ÷ {b} = {a // b} remainder {a % b}, which is about {show(a / b)}."


def answer_percent(p, n):
    """A percentage by way of 10% or a simple fraction."""
    result, tenth = f"{p}% of {n} = {show(p * n / 100)}.", show(n / 10)
    if p in (20, 25, 50):
        return f"{p}% of {n} = {n} ÷ {100 // p} = {show(p * n / 100)}."
    if p == 5:
        return f"10% of {n} is {tenth}, so {p}% of {n} = {tenth} ÷ 2 = {show(n / 20)}."
    if p == 15:
        return f"10% of {n} is {tenth} and 5% is {show(n / 20)}, so {result}"
    if p == 75:
        return f"25% of {n} is {show(n / 4)}, so {p}% of {n} = 3 × {show(n / 4)} = {show(3 * n / 4)}."
    if p % 10 == 0 and 10 < p < 100:
        return f"10% of {n} is {tenth}, so {p}% of {n} = {p // 10} × {tenth} = {show(p * n / 100)}."
    return result


def frame(expression, rng):
    """Puts an expression into a question."""
    return rng.choice(FRAMES).replace("{}", expression)


def pick_number(limit, rng):
    """A number for adding and subtracting, of as many digits as the limit says."""
    number = rng.randrange(0 if limit == 10 else limit // 10, limit)
    return number - number % 10 if rng.random() < 0.1 else number


def pick_pair(rng):
    """Two numbers for adding and subtracting: mostly two digits, or both of three."""
    if rng.random() < 0.3:
        return pick_number(1000, rng), pick_number(1000, rng)
    if rng.random() < 0.06:
        return rng.choice((100, 100, 200, 300, 400, 500, 1000, 1000)), pick_number(100, rng)
    limits = rng.choices((10, 20, 100, 1000), (2, 3, 12, 2), k=2)
    return pick_number(limits[0], rng), pick_number(limits[1], rng)


def addition(rng):
    """A question about a sum of two numbers."""
    a, b = pick_pair(rng)
    x, y = (spell(a, rng), spell(b, rng)) if rng.random() < 0.15 and max(a, b) < 100 else (a, b)
    if rng.random() < 0.1:
        return story(
            rng, f"{{n}} has {x} {{t}}. {{m}} brings {y} more. how many {{t}} are there now", f"{{n}} finds {x} {{t}} and {{m}} finds {y}, how many do they have in all",
            f"i read {x} pages yesterday and {y} today, how many pages is that", f"we were {x} people and {y} more joined us, how many are we now",
            f"one thing costs {x}, the other {y}, what do i pay", f"i pay {x} euros for food and {y} for drinks, how much in total", f"i am {x} years old, how old am i in {y} years",
            f"there were {x} {{t}} in the bag, then {{n}} put in {y} more, how many now", f"{x} boys and {y} girls are in the class, how many children is that",
            f"{{n}} saved {x} {{t}}. {{m}} saved {y}. how many altogether", f"first i buy {x} {{t}}, then {y} more. what's the total", f"if you start with {x} and add {y}, what do you have",
            f"starting at {x} and going up by {y}, where am i", f"what number is {y} greater than {x}"), answer_add(a, b)
    if rng.random() < 0.12:
        thing = rng.choice(THINGS)
        return rng.choice([
            f"i have {x} {thing} and get {y} more, how many do i have", f"if i have {x} {thing} and buy {y} more, how many {thing} do i have",
            f"{x} {thing} plus {y} {thing}", f"there are {x} {thing} and {y} more come, how many are there",
            f"anna has {x} {thing} and ben has {y}, how many do they have together", f"i had {x} {thing} and found {y}, how many now",
            f"one box holds {x} {thing}, another {y}, how many in total",
        ]), answer_add(a, b)
    expression = rng.choice([f"{x} + {y}", f"{x} + {y}", f"{x}+{y}", f"{x} plus {y}", f"{x} plus {y}", f"the sum of {x} and {y}",
                             f"{x} and {y} together", f"{x} added to {y}" if a == b else f"{x} and {y} added"])
    special = rng.choice([f"add {x} and {y}", f"add {y} to {x}", f"what do you get when you add {x} and {y}", f"increase {x} by {y}",
                          f"sum {x} and {y}", f"sum of {x} and {y}", f"add up {x} and {y}", f"what is {y} more than {x}", f"total of {x} and {y}",
                          f"{x} and {y} makes", f"{x} and {y} give", f"together {x} and {y} make", f"{x} plus another {y}", f"{y} on top of {x}", f"count {x} and {y} together", f"the total of {x} and {y}", f"how much is {x} and {y}", f"put {x} and {y} together, what is the sum"])
    return (special if rng.random() < 0.2 else frame(expression, rng)), answer_add(a, b)


def subtraction(rng):
    """A question about a difference."""
    a, b = pick_pair(rng)
    if a < b and (rng.random() < 0.7 or b > 99):
        a, b = b, a
    x, y = (spell(a, rng), spell(b, rng)) if rng.random() < 0.15 and max(a, b) < 100 else (a, b)
    if rng.random() < 0.13 and a >= b:
        return story(
            rng, f"{{n}} had {x} {{t}}. {{m}} took {y}. how many are left", f"i had {x} euros and spent {y}, what remains", f"the book has {x} pages and i read {y}, how many are left",
            f"of {x} people {y} went home, how many stayed", f"i pay with {x} for something that costs {y}, what change do i get", f"if you remove {y} from {x}, what do you have",
            f"how much more is {x} than {y}", f"what must i add to {y} to get {x}", f"how far is it from {y} to {x}", f"{{n}} owns {x} {{t}} and loses {y}, how many remain",
            f"there are {x} {{t}} in the box, {{n}} takes out {y}, how many are still in it", f"from {x} i take {y}, what do i have", f"if {y} is taken off {x}, what stays",
            f"{{n}} is {x} years old and {{m}} is {y}, what is the difference", f"i need {x} {{t}} and have {y}, how many are missing", f"{x} is how much more than {y}"), answer_subtract(a, b)
    if rng.random() < 0.12 and a >= b:
        thing = rng.choice(THINGS)
        return rng.choice([
            f"i have {x} {thing} and give away {y}, how many are left", f"if i have {x} {thing} and lose {y}, how many do i have",
            f"there are {x} {thing} and {y} are taken away, how many remain", f"i had {x} {thing} and ate {y}, how many are left",
            f"tom has {x} {thing} and sells {y}, how many has he left", f"of {x} {thing} {y} are gone, how many are there still",
        ]), answer_subtract(a, b)
    expression = rng.choice([f"{x} - {y}", f"{x} - {y}", f"{x}-{y}", f"{x} minus {y}", f"{x} minus {y}", f"{x} take away {y}", f"{x} less {y}"])
    special = rng.choice([f"subtract {y} from {x}", f"take {y} from {x}", f"take {y} away from {x}", f"what is the difference between {x} and {y}",
                          f"decrease {x} by {y}", f"what is {y} less than {x}", f"how much is left when i take {y} from {x}", f"reduce {x} by {y}",
                          f"difference of {x} and {y}", f"what remains if {y} is subtracted from {x}", f"deduct {y} from {x}", f"{y} subtracted from {x}", f"{x} without {y}", f"{x} take {y}",
                          f"from {x} subtract {y}", f"the difference of {x} and {y}", f"remove {y} from {x}", f"count down {y} from {x}", f"{x} reduced by {y}"])
    return (special if rng.random() < 0.25 else frame(expression, rng)), answer_subtract(a, b)


def pick_factors(rng):
    """Two factors: mostly of the times table."""
    kind = rng.random()
    if kind < 0.6:
        return rng.randint(1, 12), rng.randint(1, 12)
    if kind < 0.8:
        pair = rng.randint(13, 99), rng.randint(2, 9)
    elif kind < 0.9:
        pair = rng.randint(2, 99), rng.choice((10, 20, 30, 50, 100, 1000))
    elif kind < 0.96:
        pair = rng.randint(11, 30), rng.randint(11, 20)
    else:
        pair = rng.randint(101, 300), rng.randint(2, 6)
    return pair if rng.random() < 0.7 else pair[::-1]


def multiplication(rng):
    """A question about a product."""
    a, b = pick_factors(rng)
    x, y = (spell(a, rng), spell(b, rng)) if rng.random() < 0.18 and max(a, b) < 100 else (a, b)
    if rng.random() < 0.12:
        return story(
            rng, f"one box has {y} {{t}}. how many {{t}} are in {x} boxes", f"{x} rows of {y} chairs, how many chairs are there", f"one ticket costs {y} euros, what do {x} tickets cost",
            f"if one costs {y}, what do {x} cost", f"i run {y} km every day, how far is that in {x} days", f"{{n}} buys {x} {{t}} for {y} euros each, what is the price",
            f"{{n}} and {{m}} plant {x} rows of {y} trees, how many trees is that", f"{x} shelves with {y} books each make how many books", f"what does {x} multiplied with {y} give",
            f"i work {y} hours a day, how many hours in {x} days", f"there are {x} tables with {y} seats, how many can sit", f"when i multiply {x} by {y}, what do i get"), answer_multiply(a, b)
    if rng.random() < 0.1:
        thing = rng.choice(THINGS)
        return rng.choice([
            f"i have {x} boxes with {y} {thing} each, how many {thing} are there", f"how many {thing} are {x} packs of {y}",
            f"{x} people have {y} {thing} each, how many in total", f"{x} bags hold {y} {thing} each, how many {thing} are there together",
        ]), answer_multiply(a, b)
    expression = rng.choice([f"{x} × {y}", f"{x} x {y}", f"{x} * {y}", f"{x}*{y}", f"{x}x{y}" if isinstance(x, int) else f"{x} times {y}",
                             f"{x} times {y}", f"{x} times {y}", f"{x} multiplied by {y}", f"the product of {x} and {y}"])
    special = rng.choice([f"multiply {x} by {y}", f"multiply {x} and {y}", f"multiply {x} with {y}", f"product of {x} and {y}",
                          f"what do you get when you multiply {x} by {y}", f"{x} lots of {y}", f"{x} multiplied with {y}", f"{x} and {y} multiplied", f"{x} and {y} as a product", f"multiplying {x} by {y}", f"the product of {x} times {y}", f"times {x} by {y}", f"{x} groups of {y}", f"what are {x} {y}s" if isinstance(y, int) else f"{x} times the number {y}"])
    return (special if rng.random() < 0.15 else frame(expression, rng)), answer_multiply(a, b)


def pick_quotient(rng):
    """Dividend and divisor: mostly without remainder."""
    kind = rng.random()
    b = rng.randint(2, 12)
    if kind < 0.6:
        return b * rng.randint(1, 12), b
    if kind < 0.75:
        return b * rng.randint(13, 25), b
    if kind < 0.88:
        return rng.choice([(100, 4), (100, 5), (100, 2), (100, 8), (100, 10), (200, 4), (200, 5), (200, 8), (1000, 4), (1000, 8), (1000, 5), (1000, 10),
                           (500, 5), (500, 4), (300, 6), (300, 4), (240, 6), (360, 9), (360, 12), (400, 8), (450, 9), (480, 6), (600, 3), (720, 8),
                           (120, 4), (150, 3), (180, 6), (250, 5), (225, 15), (1000, 100), (500, 10), (90, 15), (60, 15), (1000, 2), (800, 4), (900, 3)])
    return rng.randint(5, 50), rng.randint(2, 9)


def division(rng):
    """A question about a quotient."""
    a, b = pick_quotient(rng)
    x, y = (spell(a, rng), spell(b, rng)) if rng.random() < 0.15 and a < 100 else (a, b)
    if rng.random() < 0.12 and a % b == 0:
        return story(
            rng, f"{x} {{t}} are shared equally by {y} children, how many does each have", f"how many groups of {y} are there in {x}", f"{x} euros for {y} people, how much per person",
            f"i cut {x} cm into {y} equal pieces, how long is one", f"{{n}} deals {x} cards to {y} players, how many each", f"{x} {{t}} go into boxes of {y}, how many boxes do i need",
            f"we are {y} friends and pay {x} together, what does each pay", f"how many {y}s are in {x}", f"{x} pages in {y} days, how many a day", f"when i divide {x} by {y}, what do i get"), answer_divide(a, b)
    if rng.random() < 0.12 and a % b == 0:
        thing = rng.choice(THINGS)
        return rng.choice([
            f"if {y} people share {x} {thing}, how many does each get", f"i share {x} {thing} among {y} friends, how many each",
            f"split {x} {thing} between {y} people, how many does each one get", f"{x} {thing} for {y} children, how many for each",
        ]), answer_divide(a, b)
    expression = rng.choice([f"{x} / {y}", f"{x}/{y}", f"{x} ÷ {y}", f"{x} : {y}", f"{x} divided by {y}", f"{x} divided by {y}", f"{x} over {y}", f"{x} divided through {y}"])
    special = rng.choice([f"divide {x} by {y}", f"how many times does {y} go into {x}", f"how often does {y} fit into {x}", f"quotient of {x} and {y}",
                          f"split {x} into {y} equal parts", f"what do you get when you divide {x} by {y}", f"share {x} among {y}", f"{x} split by {y}", f"{x} shared by {y}", f"a division: {x} by {y}",
                          f"{x} in {y} parts", f"the quotient of {x} and {y}", f"how many times is {y} in {x}"])
    return (special if rng.random() < 0.2 else frame(expression, rng)), answer_divide(a, b)


def percentage(rng):
    """A question about a percentage of a round number."""
    p = rng.choices((1, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 100), (1, 3, 6, 3, 5, 5, 2, 2, 5, 1, 1, 3, 1, 1, 1))[0]
    n = rng.choice([10 * rng.randint(1, 20), 50 * rng.randint(1, 20), 100 * rng.randint(1, 10), 20 * rng.randint(1, 25), 4 * rng.randint(2, 25)])
    if p not in (10, 25, 50, 100) and n % 10:
        n = 10 * (n // 10 + 1)
    expression = rng.choice([f"{p}% of {n}", f"{p}% of {n}", f"{p} percent of {n}", f"{p} % of {n}", f"{p} per cent of {n}"])
    special = rng.choice([f"what is {p}% from {n}", f"take {p}% of {n}", f"how much is a tip of {p}% on {n}", f"{p}% tip on {n}", f"the restaurant wants {n} and i tip {p} percent, how much is that",
                          f"i get {p}% off {n}, how much is that", f"{p} percent tax on {n}", f"the meal was {n}, i want to tip {p}%", f"what's {p}% out of {n}", f"of {n} i want {p} percent",
                          f"a tip of {p} percent for a {n} dollar meal", f"if i save {p}% of {n}, how much is it", f"the shirt costs {n} and is {p}% cheaper, how much do i save",
                          f"{p} percent of the {n} people came, how many is that", f"calculate a {p}% tip for {n}", f"dinner cost {n} dollars, tip is {p}%", f"{p}% interest on {n}",
                          f"i earn {n} and pay {p}% tax, how much tax", f"{n} times {p} percent", f"how many are {p} percent of {n}", f"there is a {p}% discount on {n} euros, how much is that",
                          f"how much is a {p}% discount on {n}", f"what is a {p}% tip on a bill of {n}", f"{p}% discount on {n}, how much do i save"])
    return (special if rng.random() < 0.3 else frame(expression, rng)), answer_percent(p, n)


def fraction(rng):
    """Halves, thirds, quarters, doubles, squares and roots."""
    kind = rng.randrange(6)
    if kind == 0:
        n = rng.choice([2 * rng.randint(1, 50), 50 * rng.randint(1, 20), rng.randint(1, 40)])
        return frame(rng.choice([f"half of {n}", f"a half of {n}", f"one half of {n}"]), rng), f"Half of {n} is {show(n / 2)}."
    if kind == 1:
        n = 4 * rng.choice([rng.randint(1, 25), 25 * rng.randint(1, 10)])
        return frame(rng.choice([f"a quarter of {n}", f"one quarter of {n}", f"one fourth of {n}"]), rng), f"A quarter of {n} is {n // 4}."
    if kind == 2:
        n = 3 * rng.choice([rng.randint(1, 30), 10 * rng.randint(1, 30)])
        return frame(rng.choice([f"a third of {n}", f"one third of {n}"]), rng), f"A third of {n} is {n // 3}."
    if kind == 3:
        n, (word, factor) = rng.randint(1, 60), rng.choice([("double", 2), ("double", 2), ("twice", 2), ("triple", 3), ("three times", 3)])
        return rng.choice([f"{word} {n}", f"what is {word} {n}", f"how much is {word} {n}"]), f"{factor} × {n} = {factor * n}."
    if kind == 4:
        n = rng.randint(1, 20)
        return frame(rng.choice([f"{n} squared", f"the square of {n}", f"{n}^2", f"{n} to the power of 2", f"{n}²"]), rng), f"{n} × {n} = {n * n}."
    n = rng.randint(1, 15)
    return frame(rng.choice([f"the square root of {n * n}", f"square root of {n * n}", f"sqrt({n * n})", f"the root of {n * n}"]), rng), \
        f"The square root of {n * n} is {n}, because {n} × {n} = {n * n}."


def several(rng):
    """Sums of three numbers, comparisons, even and odd."""
    kind = rng.random()
    if kind < 0.5:
        a, b, c = (rng.randint(1, 30) for _ in range(3))
        expression = rng.choice([f"{a} + {b} + {c}", f"{a} plus {b} plus {c}", f"{a}+{b}+{c}", f"the sum of {a}, {b} and {c}"])
        return frame(expression, rng), f"{a} + {b} = {a + b} and {a + b} + {c} = {a + b + c}."
    a, b = rng.randint(1, 150), rng.randint(1, 150)
    if kind < 0.75:
        word, best = rng.choice([("bigger", max), ("larger", max), ("greater", max), ("more", max), ("smaller", min), ("less", min)])
        return rng.choice([f"which is {word}, {a} or {b}", f"what is {word}: {a} or {b}", f"which number is {word}, {a} or {b}", f"{a} or {b}, which is {word}",
                           f"compare {a} and {b}, which is {word}", f"is {a} or {b} {word}", f"tell me which is {word}: {a} or {b}", f"of {a} and {b}, which one is {word}"]), \
            f"{best(a, b)} is {word} than {max(a, b) if best is min else min(a, b)}." if a != b else f"{a} and {b} are equal."
    return rng.choice([f"is {a} even or odd", f"is {a} odd or even", f"is {a} an even number" if a % 2 == 0 else f"is {a} an odd number"]), \
        f"{a} is {'odd' if a % 2 else 'even'}."


def column_step(rng):
    """One step of adding or subtracting in columns."""
    x, y, carry = rng.randint(0, 9), rng.randint(0, 9), rng.random() < 0.5
    if rng.random() < 0.5:
        return f"{x} + {y}{' + 1' if carry else ''} = {x + y + carry}."
    x += 10 * (x < y + carry)
    return f"{x} - {y}{' - 1' if carry else ''} = {x - y - carry}."


def statement(rng):
    """An answer of one line, as the drills use it."""
    return column_step(rng) if rng.random() < 0.25 else ask(rng)[1]


KINDS = ((addition, 27), (subtraction, 22), (multiplication, 22), (division, 12), (percentage, 10), (fraction, 8), (several, 6))


def ask(rng):
    """A question of arithmetic and its answer."""
    kinds, weights = zip(*KINDS)
    return rng.choices(kinds, weights)[0](rng)
