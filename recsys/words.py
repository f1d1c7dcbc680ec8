"""Words for numbers, as people read them."""


def often(count: int) -> str:
    """
    >>> often(1), often(2), often(1200)
    ('once', 'twice', '1,200 times')
    """
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def visits(count: int) -> str:
    """
    >>> visits(1), visits(37)
    ('1 visit', '37 visits')
    """
    return f"{count:,} visit" + ("" if count == 1 else "s")


def people(count: int) -> str:
    """
    >>> people(1), people(37)
    ('1 person', '37 people')
    """
    return f"{count:,} " + ("person" if count == 1 else "people")
