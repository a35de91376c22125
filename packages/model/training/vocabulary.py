"""What the world holds and what captions call it. `WORLD` is the world of this process: $EDIFFI_WORLD, grid (the committed model's),
wide (the same with things anywhere and in more sizes: until version 0.11, and the judge's), signs (until version 0.6: sixteen objects), tiny (the same without signs) or vector. `OBJECTS` is every object whose art is present in all four emoji sets."""

import os

OBJECTS = {  # name: code point of the emoji in every art set
    "cat": "1f431", "dog": "1f436", "bear": "1f43b", "panda": "1f43c", "fox": "1f98a", "frog": "1f438",
    "lion": "1f981", "pig": "1f437", "cow": "1f42e", "rabbit": "1f430", "monkey": "1f435", "chick": "1f424",
    "penguin": "1f427", "owl": "1f989", "elephant": "1f418", "unicorn": "1f984", "turtle": "1f422",
    "fish": "1f420", "whale": "1f433", "octopus": "1f419", "butterfly": "1f98b", "bee": "1f41d",
    "ladybug": "1f41e", "dragon": "1f432", "apple": "1f34e", "banana": "1f34c", "lemon": "1f34b",
    "strawberry": "1f353", "pineapple": "1f34d", "watermelon": "1f349", "cherries": "1f352", "pizza": "1f355",
    "burger": "1f354", "cake": "1f382", "donut": "1f369", "mushroom": "1f344", "sunflower": "1f33b",
    "rose": "1f339", "tulip": "1f337", "cactus": "1f335", "tree": "1f333", "palm tree": "1f334", "car": "1f697",
    "bus": "1f68c", "rocket": "1f680", "sailboat": "26f5", "balloon": "1f388", "house": "1f3e0",
    "castle": "1f3f0", "umbrella": "2602-fe0f", "star": "2b50", "moon": "1f319", "heart": "2764-fe0f",
    "crown": "1f451", "guitar": "1f3b8", "football": "26bd", "gift": "1f381", "book": "1f4d5", "robot": "1f916",
    "ghost": "1f47b", "alien": "1f47d", "snowman": "26c4", "squirrel": "1f43f-fe0f", "teapot": "1fad6",
}
SYNONYMS = {  # other names of an object; nouns of the keyword sets of emojilib 4.0.3 and emojibase-data 17.0.0 (MIT) that name one object only
    "cat": ["kitten", "kitty"], "dog": ["puppy"], "bear": ["grizzly"], "frog": ["toad"], "cow": ["ox"], "rabbit": ["bunny"],
    "chick": ["chicken"], "turtle": ["tortoise"], "bee": ["bumblebee", "honeybee"], "ladybug": ["ladybird"], "banana": ["plantain"],
    "cherries": ["cherry"], "burger": ["hamburger", "cheeseburger"], "donut": ["doughnut"], "mushroom": ["toadstool", "fungus"],
    "palm tree": ["palm"], "car": ["automobile"], "rocket": ["shuttle"], "sailboat": ["boat", "yacht"], "house": ["home"],
    "gift": ["present"], "squirrel": ["chipmunk"], "teapot": ["kettle"],
}
IRREGULAR = {"fox": "foxes", "fish": "fish", "octopus": "octopuses", "butterfly": "butterflies", "strawberry": "strawberries", "cactus": "cactuses", "bus": "buses", "snowman": "snowmen"}
PLURALS = {name: IRREGULAR.get(name, name + "s") for name in OBJECTS if name != "cherries"}  # of what can be counted
NUMBERS = {2: "two", 3: "three", 4: "four"}
COUNTING = {  # words that only captions of counts hold: the singular, where they have one
    **{plural.split()[-1]: name.split()[-1] for name, plural in PLURALS.items() if plural != name}, **{word: None for word in NUMBERS.values()},
}
SIGN_WORDS = [  # what a sign may say beside letters drawn at random, in capitals
    *(name.upper() for name in OBJECTS if len(name) <= 4), "OPEN", "STOP", "EXIT", "HI", "YES", "NO", "OK", "LOVE", "HOME", "CAFE", "SALE",
    "ZOO", "TAXI", "FREE", "WOW", "SHOP", "BAR", "TEA", "ART", "NEW", "FUN", "GO", "UP", "HELP", "PARK", "RED", "BLUE", "SKY", "SEA",
]
HUES = {"red": 0.0, "orange": 0.075, "yellow": 0.14, "green": 0.34, "blue": 0.6, "purple": 0.77, "pink": 0.9}
PLAIN = {
    "red": (214, 66, 58), "orange": (240, 150, 60), "yellow": (247, 214, 90), "green": (96, 176, 92),
    "blue": (74, 128, 216), "purple": (140, 96, 196), "pink": (246, 166, 196), "white": (246, 246, 244),
    "gray": (150, 154, 160), "black": (28, 28, 32),
}
SCENES = {
    "sky": ["in the blue sky", "in a cloudy sky"], "grass": ["on green grass", "on the grass", "in a meadow"],
    "beach": ["on the beach", "on a sandy beach"], "night": ["at night", "under the stars at night"],
    "sunset": ["at sunset"], "snow": ["in the snow", "on a snowy field"], "sea": ["under the sea", "underwater"],
    "desert": ["in the desert"], "forest": ["in the forest", "in a dark forest"],
    "space": ["in space", "in outer space"],
}
STYLES = {  # style: (art set, words before, words after)
    "3d": ("3d", ["a 3d render of", "a shiny 3d picture of", "a clay render of"], "3d render"),
    "flat": ("fluent-emoji-flat", ["a flat icon of", "flat art of"], "flat icon style"),
    "cartoon": ("noto", ["a cartoon of", "a cartoon drawing of"], "cartoon style"),
    "sticker": ("twemoji", ["a sticker of", "a paper sticker of"], "sticker style"),
    "pixel": ("twemoji", ["pixel art of", "an 8 bit pixel picture of"], "pixel art"),
    "sketch": ("noto", ["a pencil sketch of", "a sketch of", "a drawing of"], "pencil sketch"),
    "watercolor": ("fluent-emoji-flat", ["a watercolor painting of", "a watercolor of"], "watercolor painting"),
    "neon": ("noto", ["a neon sign of", "a glowing neon picture of"], "neon style"),
}
WORLDS = {
    "tiny": {
        "objects": ["cat", "panda", "fox", "frog", "penguin", "pig", "apple", "banana", "mushroom", "sunflower", "tree",
                    "car", "rocket", "house", "star", "heart"],
        "colorable": ["apple", "car", "house", "star", "heart"],
        "styles": {"3d": 0.46, "sketch": 0.18, "watercolor": 0.18, "neon": 0.18},
        "kinds": {"one": 0.68, "two": 0.26, "empty": 0.06},
    },
    "wide": {  # everything
        "objects": list(OBJECTS),
        "colorable": ["car", "balloon", "heart", "book", "umbrella", "butterfly", "gift", "house", "star", "apple"],
        "styles": {"3d": 0.3, **{style: 0.1 for style in STYLES if style != "3d"}},
        "kinds": {"one": 0.48, "two": 0.25, "count": 0.1, "sign": 0.13, "empty": 0.04},
    },
}
WORLDS["vector"] = {  # art that has no size of its own: pictures of 512 px, which the 3D art of 256 px cannot give
    "objects": list(OBJECTS), "colorable": WORLDS["wide"]["colorable"], "styles": {"flat": 0.5, "cartoon": 0.5}, "kinds": {"one": 0.7, "two": 0.3},
}
WORLDS["grid"] = {**WORLDS["wide"], "step": 4, "sizes": [20, 28, 44]}  # things stand at every fourth of 64 places, in a quarter of the sizes: what is seen often is known well
WORLDS["signs"] = {**WORLDS["tiny"], "kinds": {"one": 0.5, "two": 0.2, "sign": 0.25, "empty": 0.05}}
WORLD = WORLDS[os.environ.get("EDIFFI_WORLD", "grid")]
HELD_OUT = {("penguin", "beach"), ("car", "snow"), ("cat", "space"), ("mushroom", "night"), ("apple", "sea"),
            ("panda", "desert"), ("rocket", "forest"), ("pig", "sky")}  # (object, background), never sampled
