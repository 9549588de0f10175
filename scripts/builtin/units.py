"""Questions about units of measure, with rounded answers."""

from sums import in_words, show

NAMES = {
    "km/h": "km/h|km/h|kmh|kph|kilometres per hour|kilometers per hour", "mph": "mph|mph|miles per hour|miles an hour",
    "km": "km|km|kilometres|kilometers|kilometre|kilometer|kms", "mile": "miles|miles|mile|mi", "m": "m|m|metres|meters|metre|meter",
    "ft": "feet|feet|ft|foot", "cm": "cm|cm|centimetres|centimeters|centimeter", "inch": "inches|inches|inch|in", "mm": "mm|millimetres|millimeters",
    "yard": "yards|yard|yd", "kg": "kg|kg|kg|kilograms|kilos|kilo|kilogrammes|kgs|kilogram", "lb": "pounds|pounds|lb|lbs|pound", "g": "g|grams|grammes|gram",
    "oz": "ounces|oz|ounce", "mg": "mg|milligrams", "tonne": "tonnes|tons|metric tons|tonne|t", "l": "litres|liters|l|litre|liter",
    "gallon": "gallons|gallon|us gallons|gal", "ml": "ml|millilitres|milliliters", "C": "celsius|Celsius|c|C|C|°c|°C|°C|degrees celsius|degrees Celsius|degrees c|degrees C|centigrade|degrees centigrade",
    "F": "fahrenheit|Fahrenheit|f|F|F|°f|°F|°F|degrees fahrenheit|degrees Fahrenheit|degrees f|degrees F", "day": "days|day", "h": "hours|hours|hour|h|hrs", "min": "minutes|minutes|min|mins|minute",
    "s": "seconds|seconds|sec|s|secs", "week": "weeks|week", "year": "years|year", "month": "months|month", "TB": "tb|TB|TB|terabytes|terabyte", "GB": "gb|GB|GB|gigabytes|gigabyte|gigs",
    "MB": "mb|MB|MB|megabytes|megabyte", "KB": "kb|KB|KB|kB|kilobytes|kilobyte", "byte": "bytes|bytes|byte", "bit": "bits|bits|bit",
}
SINGULAR = {"mile": "mile", "ft": "foot", "inch": "inch", "yard": "yard", "lb": "pound", "oz": "ounce", "tonne": "tonne", "l": "litre", "gallon": "gallon",
            "day": "day", "h": "hour", "min": "minute", "s": "second", "week": "week", "year": "year", "month": "month", "byte": "byte", "bit": "bit"}
PLURAL = {"ft": "feet", "inch": "inches"}
SYMBOL = {"C": "°C", "F": "°F"}

COMMON = [1] * 4 + [2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10, 12, 15, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 100, 100, 120, 150, 200, 250, 300, 500, 1000]
ABOUT = {  # (from, to): (factor, more values)
    ("km", "mile"): (0.621371, [42, 21, 42.195, 1.5, 2.5, 160, 11, 13, 14, 16, 18, 35, 45, 65, 110, 130, 400, 800]),
    ("mile", "km"): (1.609344, [26.2, 26, 13.1, 55, 65, 35, 45, 0.5, 1.5, 2.5, 11, 13, 400]),
    ("kg", "lb"): (2.204623, [55, 65, 68, 72, 85, 95, 0.5, 1.5, 2.5, 11, 35, 45, 110]),
    ("lb", "kg"): (0.453592, [110, 130, 140, 160, 165, 170, 175, 180, 190, 220, 35, 45]),
    ("km/h", "mph"): (0.621371, [130, 110, 160]),
    ("mph", "km/h"): (1.609344, [55, 65, 35, 45]),
    ("cm", "inch"): (1 / 2.54, [2.54, 30, 35, 45, 140, 160, 165, 170, 175, 180, 185, 190]),
    ("m", "ft"): (3.28084, [1.5, 1.8, 1.6, 1.7, 2.5, 11, 400]),
    ("ft", "m"): (0.3048, [5.5, 6.5, 11, 400]),
    ("l", "gallon"): (0.264172, [0.5, 1.5, 3.785]),
    ("gallon", "l"): (3.785412, [0.5, 55]),
    ("g", "oz"): (0.035274, [28, 450, 400, 350, 750, 125]),
    ("oz", "g"): (28.349523, [0.5, 16, 11, 14]),
    ("m", "yard"): (1.093613, []),
    ("yard", "m"): (0.9144, []),
    ("mile", "m"): (1609.344, []),
    ("cm", "ft"): (0.0328084, []),
}
EXACT = {  # (from, to): factor
    ("inch", "cm"): 2.54, ("ft", "cm"): 30.48, ("km", "m"): 1000, ("m", "cm"): 100, ("cm", "mm"): 10, ("m", "mm"): 1000, ("kg", "g"): 1000, ("g", "mg"): 1000, ("tonne", "kg"): 1000,
    ("l", "ml"): 1000, ("h", "min"): 60, ("min", "s"): 60, ("h", "s"): 3600, ("day", "h"): 24, ("week", "day"): 7, ("year", "day"): 365, ("year", "month"): 12,
    ("year", "week"): 52, ("day", "min"): 1440, ("ft", "inch"): 12, ("yard", "ft"): 3, ("lb", "oz"): 16, ("byte", "bit"): 8, ("mile", "ft"): 5280, ("week", "h"): 168,
    ("day", "s"): 86400,
}
INCHES = COMMON + [11, 13, 14, 16, 17, 18, 19, 21, 22, 24, 27, 32, 36, 55, 65, 72, 0.5, 1.5]
FEET = [1, 2, 3, 4, 5, 5, 6, 6, 7, 8, 9, 10, 12, 15, 20, 100]
BYTES = [("TB", "GB"), ("GB", "MB"), ("GB", "MB"), ("MB", "KB"), ("KB", "byte"), ("GB", "KB"), ("MB", "byte")]
DECIMAL = {1000, 100, 10}

FRAMES = """convert {x} {u} to {v}|convert {x} {u} to {v}|convert {x} {u} into {v}|{x} {u} in {v}|{x} {u} in {v}|how many {v} is {x} {u}|how many {v} is {x} {u}|how many {v} are {x} {u}
how many {v} are in {x} {u}|how many {v} are there in {x} {u}|what is {x} {u} in {v}|what is {x} {u} in {v}|what's {x} {u} in {v}|{x} {u} to {v}|{x} {u} to {v}|how much is {x} {u} in {v}
{x} {u} = ? {v}|{x} {u} into {v}|change {x} {u} to {v}|express {x} {u} in {v}|{x} {u} as {v}|turn {x} {u} into {v}|{x} {u} is how many {v}|{x} {u} are how many {v}|how many {v} make {x} {u}
can you convert {x} {u} to {v}|please convert {x} {u} to {v}|give me {x} {u} in {v}|tell me {x} {u} in {v}|how many {v} does {x} {u} have|what are {x} {u} in {v}|{x} {u} equals how many {v}
i need {x} {u} in {v}|do you know how many {v} {x} {u} is|what would {x} {u} be in {v}|{x} {u} converted to {v}|how many {v} in {x} {u}|how many {v} in {x} {u}|{x} {u} {v}
{x} {u} - how many {v}|if i have {x} {u}, how many {v} is that|i have {x} {u}, what is that in {v}|{x} {u} comes to how many {v}|calculate {x} {u} in {v}|conversion of {x} {u} to {v}
what does {x} {u} come to in {v}|how do i convert {x} {u} to {v}|could you tell me {x} {u} in {v}|write {x} {u} in {v}|from {x} {u} to {v}|{v} in {x} {u}|what do {x} {u} equal in {v}
how long is {x} {u} in {v}|translate {x} {u} to {v}|how many {v} do {x} {u} make|how many {v} go into {x} {u}|find out what {x} {u} is in {v}|what is the value of {x} {u} in {v}""".replace("\n", "|").split("|")
EXTRA = """{x} {u}, what is that in {v}|{x} {u} - in {v} please|{x} {u} in {v}, please|{x} {u} would be what in {v}|i'd like {x} {u} in {v}|what's the {v} equivalent of {x} {u}|{x} {u}, in {v}
{x} {u} is what in {v}|{x} {u} equals what in {v}|{x} {u} make how many {v}|{x} {u} gives how many {v}|show me {x} {u} in {v}|i have {x} {u} and need {v}|how many {v} would {x} {u} be
how many {v} would that be: {x} {u}|in {v}, what is {x} {u}|in {v}, how much is {x} {u}|{x} {u} expressed in {v}|what do {x} {u} come to in {v}|take {x} {u} and convert it to {v}|{v} for {x} {u}
i want {x} {u} as {v}|how many {v} do i get from {x} {u}|{x} {u} > {v}|{x} {u} -> {v}|make {v} out of {x} {u}|could you convert {x} {u} into {v}|would you turn {x} {u} into {v}|i need to convert {x} {u} to {v}
the recipe says {x} {u}, i need {v}|my friend says {x} {u}, i think in {v}|what number of {v} is {x} {u}|{x} {u} corresponds to how many {v}|i only know {v}, what is {x} {u}|calculate how many {v} {x} {u} are""".replace("\n", "|").split("|")
SCENES = {
    "km mile": "i ran|my car drives|we drove|we hiked|i cycled|my commute is|it is|they walked|the next town is away|the lake is around|the race is over|the road goes on for|i live away from work, exactly",
    "km/h mph": "the car drives|the limit is|the wind blows with|the train goes|we went at|he was caught driving|the sign says",
    "cm inch mm": "i am as tall as|the board is as long as|my screen measures|the shelf is as wide as|the fish was as long as|the paper is as wide as|the pipe has|we got snow:|my waist is|the plant grew",
    "m ft yard": "the room is as long as|the wall is as high as|the pool measures|the tree is as tall as|the snake was as long as|the boat has|the ceiling is at|the garden is as wide as|he jumped|the tower is as high as",
    "kg lb g oz tonne mg": "i weigh|the bag weighs|the dog weighs|my cat has|the parcel weighs|the recipe needs|the baby weighs|i lifted|i bought|she lost|the pumpkin weighs|the box is as heavy as",
    "l gallon ml": "the tank holds|i bought|the bucket holds|my car took|i drink|the recipe asks for|the bottle holds|the pot takes|we used",
    "C F": "it is|the oven is at|the forecast says|today we have|the pool has|my fever is|the soup is at|yesterday it was|the thermostat shows|it feels like|the freezer is at|bake it at|the water has",
    "day h min s week year month": "the film takes|i slept|the flight lasts|i waited|the meeting takes|we stay|the trip takes|it is open for|i have left|the song goes on for|the course lasts|he was away for|the battery lasts",
    "TB GB MB KB byte bit": "the file has|my disk has|the download is|i have left|the model needs|the video takes|my phone holds|the backup has",
}
TAILS = """, what is that in {v}|, how many {v} is that|. what would that be in {v}|, in {v}| - in {v} please|. how much is that in {v}|; how many {v}|, can you convert that to {v}|, i need it in {v}
, which is how many {v}|. tell me in {v}|, give me {v}|, how much in {v}|. and in {v}|, is that many {v}|, that makes how many {v}|. convert that to {v}|. how many {v} does that make|, so how many {v}""".replace("\n", "|").split("|")
STORIES = {unit: scenes.split("|") for units, scenes in SCENES.items() for unit in units.split()}
CELSIUS = list(range(-10, 42)) + [-40, -30, -25, -20, -18, -15, 45, 50, 55, 60, 65, 70, 75, 80, 90, 95, 100, 100, 120, 150, 160, 170, 175, 180, 190, 200, 210, 220, 230, 240, 250]
FAHRENHEIT = list(range(0, 116, 5)) + [32, 32, 50, 68, 77, 98, 98.6, 72, 86, 104, 212, 212, 14, 23, 41, 59, 66, 62, 64, 74, 76, 78, 88, 92, 96, 101, 102, -40, -4, 120, 140, 150, 165, 180, 200, 250, 300, 325, 350, 350, 375, 400, 425, 450, 500]


def rounded(value):
    """Two decimals below ten, one below a hundred, none above."""
    if value < 0.1:
        return f"{value:.3f}".rstrip("0").rstrip(".")
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def say(value, unit):
    """A value with its unit, as the answers write it."""
    if unit in SYMBOL:
        return f"{value} {SYMBOL[unit]}"
    if unit not in SINGULAR:
        return f"{value} {unit}"
    return f"{value} {SINGULAR[unit] if value == '1' else PLURAL.get(unit, SINGULAR[unit] + 's')}"


def question(value, unit, other, rng):
    """A question that asks for a value in another unit."""
    frame = rng.choice(STORIES[unit]) + " {x} {u}" + rng.choice(TAILS) if rng.random() < 0.17 else rng.choice(FRAMES if rng.random() < 0.65 else EXTRA)
    name, target = rng.choice(NAMES[unit].split("|")), rng.choice(NAMES[other].split("|"))
    if unit in ("C", "F") and len(target) == 1 and rng.random() < 0.7:
        name = {"C": "c", "F": "f"}[unit] if target.islower() else unit
    text = show(value)
    if value == 1 and rng.random() < 0.4:
        text = "one" if rng.random() < 0.3 else "an" if name[0] in "aeiou" or name.startswith("hour") else "a"
    elif isinstance(value, int) and 1 < value < 100 and rng.random() < 0.08:
        text = in_words(value)
    asked = frame.replace("{x}", text).replace("{u}", name).replace("{v}", target)
    if len(name) <= 2 and text[-1].isdigit() and rng.random() < 0.35:
        asked = asked.replace(f"{text} {name}", f"{text}{name}")
    return asked


def approximate(rng):
    """Between metric and imperial units."""
    (unit, other), (factor, more) = rng.choice(list(ABOUT.items())[: rng.choice([13, 13, 13, len(ABOUT)])])
    value = rng.choice(COMMON if not more or rng.random() < 0.75 else more)
    if unit == "oz" and value > 100:
        value = 8
    if (unit, other) == ("cm", "ft"):
        value = rng.choice([100, 150, 160, 165, 170, 175, 180, 185, 190, 200])
    if (unit, other) == ("mile", "m"):
        value = rng.choice([0.5, 1, 2, 3, 5, 10])
    text = rounded(value * factor)
    return question(value, unit, other, rng), f"{say(show(value), unit)} is about {say(text, other)}."


def exact(rng):
    """Within one system of units, where the factor is a whole number."""
    (unit, other), factor = rng.choice(list(EXACT.items())[: rng.choice([16, len(EXACT)])])
    if unit == "inch" or (unit, other) == ("ft", "cm"):
        value = rng.choice(INCHES if unit == "inch" else FEET)
        return question(value, unit, other, rng), f"{say(show(value), unit)} = {say(show(value * factor), other)}."
    if factor in DECIMAL:
        value = rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 0.5, 1.5, 2.5, 3.5, 0.25, 1.2, 1.8, 0.1, 0.75, 4.5, 7.5])
    elif unit in ("h", "min"):
        value = rng.choice(list(range(1, 13)) + [1, 2, 3, 5, 15, 20, 24, 30, 36, 45, 48, 60, 0.5, 1.5, 2.5])
    else:
        value = rng.choice(list(range(1, 11)) + [1, 1, 12, 14, 15, 20, 30])
    if rng.random() < 0.35:
        value = backwards_value(factor, value, rng)
        return question(value, other, unit, rng), f"{say(show(value), other)} = {say(quotient(value, factor), unit)}."
    return question(value, unit, other, rng), f"{say(show(value), unit)} = {say(show(value * factor), other)}."


def backwards_value(factor, value, rng):
    """A value in the smaller unit whose quotient is short."""
    if factor in DECIMAL and rng.random() < 0.3:
        return rng.choice([50, 75, 150, 250, 350, 500, 750, 1200, 1500, 1750, 2500])
    if factor == 60 and rng.random() < 0.5:
        return rng.choice([15, 30, 45, 60, 75, 90, 90, 105, 120, 120, 135, 150, 180, 210, 240, 300, 360, 480, 600, 1440])
    result = value * factor
    return int(result) if result == int(result) else result


def quotient(value, factor):
    """An exact quotient, with up to four decimals."""
    return f"{value / factor:.4f}".rstrip("0").rstrip(".")


def computer_bytes(rng):
    """Powers of 1000, with the powers of 1024 beside them."""
    unit, other = rng.choice(BYTES)
    steps = 2 if (unit, other) in (("GB", "KB"), ("MB", "byte")) else 1
    value = rng.choice([1, 1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 16, 32, 64] if steps == 1 else [1, 1, 2, 4])
    binary = {"TB": "TiB", "GB": "GiB", "MB": "MiB", "KB": "KiB"}
    if rng.random() < 0.3 and steps == 1 and other != "byte":
        large = value * 1000 if rng.random() < 0.8 else rng.choice([500, 1500, 2500])
        return question(large, other, unit, rng), f"{large} {other} = {show(large / 1000)} {unit}."
    big, small = value * 1024**steps, value * 1000**steps
    return question(value, unit, other, rng), \
        f"{value} {unit} = {say(str(small), other)}; counted in powers of two, {value} {binary[unit]} = {say(str(big), binary.get(other, other))}."


def temperature(rng):
    """Between Celsius and Fahrenheit, with the steps."""
    if rng.random() < 0.5:
        value = rng.choice(CELSIUS)
        return question(value, "C", "F", rng), f"{value} × 1.8 = {show(value * 1.8)}, plus 32 is {show(value * 1.8 + 32)}, so {value} °C = {show(value * 1.8 + 32)} °F."
    value = rng.choice(FAHRENHEIT)
    less, result = show(value - 32), f"{round((value - 32) / 1.8, 1):.1f}".removesuffix(".0").replace("-0", "0") if abs(value - 32) < 0.05 else f"{(value - 32) / 1.8:.1f}".removesuffix(".0")
    return question(value, "F", "C", rng), f"{show(value)} - 32 = {less}, divided by 1.8 is {result}, so {show(value)} °F = {result} °C."


KINDS = ((approximate, 41), (exact, 36), (temperature, 15), (computer_bytes, 8))


def ask(rng):
    """A question about units and its answer."""
    kinds, weights = zip(*KINDS)
    return rng.choices(kinds, weights)[0](rng)
