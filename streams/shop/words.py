"""The words of the simulated shop: what it sells, who makes it, and what its shoppers are called."""

from msgspec import Struct


class Category(Struct, frozen=True):
    """A kind of product: its id part and name, its cheapest and dearest price, and what people buy along with it."""

    slug: str
    noun: str
    low: float
    high: float
    goes_with: tuple[str, ...]


CATEGORIES = (
    Category("trail-shoe", "Trail Shoe", 70, 190, ("wool-sock", "running-vest", "trekking-pole")),
    Category("hiking-boot", "Hiking Boot", 110, 320, ("wool-sock", "trekking-pole", "backpack")),
    Category("wool-sock", "Wool Sock", 12, 32, ("hiking-boot", "trail-shoe", "base-layer")),
    Category("rain-jacket", "Rain Jacket", 80, 420, ("fleece", "dry-bag", "hiking-boot")),
    Category("down-jacket", "Down Jacket", 120, 480, ("base-layer", "fleece", "sleeping-bag")),
    Category("fleece", "Fleece", 40, 160, ("rain-jacket", "base-layer", "down-jacket")),
    Category("base-layer", "Base Layer", 30, 110, ("fleece", "wool-sock", "down-jacket")),
    Category("running-vest", "Running Vest", 50, 180, ("trail-shoe", "soft-flask", "headlamp")),
    Category("soft-flask", "Soft Flask", 12, 38, ("running-vest", "water-filter", "energy-bar")),
    Category("energy-bar", "Energy Bar", 2, 30, ("soft-flask", "running-vest", "cook-pot")),
    Category("backpack", "Backpack", 90, 340, ("tent", "dry-bag", "hiking-boot")),
    Category("tent", "Tent", 140, 780, ("sleeping-bag", "sleeping-mat", "backpack")),
    Category("sleeping-bag", "Sleeping Bag", 80, 460, ("sleeping-mat", "tent", "down-jacket")),
    Category("sleeping-mat", "Sleeping Mat", 35, 210, ("sleeping-bag", "tent", "camp-stove")),
    Category("camp-stove", "Camp Stove", 30, 190, ("cook-pot", "tent", "energy-bar")),
    Category("cook-pot", "Cook Pot", 20, 95, ("camp-stove", "water-filter", "energy-bar")),
    Category("water-filter", "Water Filter", 25, 130, ("soft-flask", "cook-pot", "backpack")),
    Category("headlamp", "Headlamp", 20, 140, ("running-vest", "tent", "climbing-helmet")),
    Category("trekking-pole", "Trekking Pole", 40, 190, ("hiking-boot", "trail-shoe", "backpack")),
    Category("dry-bag", "Dry Bag", 10, 70, ("backpack", "rain-jacket", "paddle")),
    Category("paddle", "Paddle", 60, 390, ("dry-bag", "life-vest", "rain-jacket")),
    Category("life-vest", "Life Vest", 50, 220, ("paddle", "dry-bag", "soft-flask")),
    Category("climbing-rope", "Climbing Rope", 90, 290, ("climbing-harness", "carabiner", "climbing-helmet")),
    Category("climbing-harness", "Climbing Harness", 45, 160, ("climbing-rope", "carabiner", "climbing-shoe")),
    Category("climbing-helmet", "Climbing Helmet", 45, 140, ("climbing-harness", "climbing-rope", "headlamp")),
    Category("climbing-shoe", "Climbing Shoe", 70, 190, ("climbing-harness", "chalk-bag", "carabiner")),
    Category("carabiner", "Carabiner", 6, 45, ("climbing-rope", "climbing-harness", "chalk-bag")),
    Category("chalk-bag", "Chalk Bag", 12, 40, ("climbing-shoe", "carabiner", "climbing-harness")),
)

BRANDS = (
    *("Alderbeck", "Tarnhow", "Fellwright", "Skerrow", "Brackenfold", "Pellinor", "Hollowmere", "Windrush"),
    *("Korvane", "Ashgill", "Stonecrake", "Larkrigg"),
)

MODELS = (
    *("Ridge", "Tarn", "Gully", "Heron", "Cairn", "Drift", "Ember", "Fjell", "Gale", "Harrier", "Inlet", "Juniper"),
    *("Kestrel", "Lichen", "Moraine", "Nimbus", "Osprey", "Petrel", "Quartz", "Rapids", "Scree", "Thistle"),
    *("Updraft", "Valley", "Willow", "Yarrow", "Zephyr", "Basalt", "Cirrus", "Delta"),
)

NAMES = (
    *("ada", "ben", "carla", "dara", "elif", "femi", "greta", "hugo", "ines", "jonas", "kaya", "lena", "mira", "nils"),
    *("olga", "pia", "quin", "rosa", "sami", "tess", "uma", "vera", "wim", "xenia", "yuri", "zoe", "aino", "bela"),
    *("cleo", "dina", "emil", "fay", "gus", "hana", "ivo", "jana", "kofi", "luz", "malik", "noor"),
)
