"""`movielens`: the ratings of MovieLens 100k, the file `u.data`, its films, `u.item`, and its users, `u.user`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from recsys.readers.source import Source
from recsys.record import given_in_words

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""In the order of the columns."""


def ratings_file(path: Path) -> Path:
    """The file of ratings: `path` itself, or the one in the folder.

    >>> ratings_file(Path("somewhere/u.data")).name
    'u.data'
    """
    return path / "u.data" if path.is_dir() else path


def films_file(path: Path) -> Path:
    """The file of films: the one in the folder, or beside the ratings, or `path` itself.

    >>> films_file(Path("somewhere/u.data")) == films_file(Path("somewhere/u.item"))
    True
    """
    if path.is_dir():
        return path / "u.item"
    return path.with_name("u.item") if path.name == "u.data" else path


def users_file(path: Path) -> Path:
    """The file of users: the one in the folder, or beside the ratings, or `path` itself.

    >>> users_file(Path("somewhere/u.data")) == users_file(Path("somewhere/u.user"))
    True
    """
    if path.is_dir():
        return path / "u.user"
    return path.with_name("u.user") if path.name == "u.data" else path


def events(source: Source) -> Iterator[tuple[int, Raw]]:
    """A `rating` for each line, sorted by time (equal times in the file's order): the file is in no order at all.

    | column, separated by tabs, spaces around it do not matter | becomes |
    |---|---|
    | 1 user id | `user_id` |
    | 2 item id | `item_id` |
    | 3 rating, 1 to 5 | `rating` |
    | 4 timestamp | `event_time`, seconds |

    The whole file is held in memory to be sorted, about 150 bytes a row.
    """
    return source.in_time_order(_timed(source))


def items(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each film as Item JSON, with the number of its line.

    | column, separated by bars, in ISO 8859-1 | becomes |
    |---|---|
    | 1 film id | `item_id` |
    | 2 title | `title`, with the year as the file has it |
    | 3 release date | the attribute `year`, where there is a date |
    | 5 IMDb address | `url`, where there is one |
    | 6 to 24, a 0 or a 1 for each genre | `categories` |
    """
    begun = False
    for number, line in source.lines():
        text = line.decode("iso-8859-1")
        parts = text.split("|")
        if len(parts) != 5 + len(GENRES):
            if not begun:
                raise source.wrong(text, "MovieLens' u.item: film, title, dates, address and 19 genres separated by |")
            source.bad.add(number, f"not {5 + len(GENRES)} columns", text)
            continue
        begun = True
        film, title, released, _, address = parts[:5]
        fields: dict[str, Any] = {"item_id": film, "title": title, "url": address}
        fields["categories"] = [genre for genre, given in zip(GENRES, parts[5:], strict=True) if given == "1"]
        if released:
            fields["attributes"] = {"year": released[-4:]}
        yield number, fields


def users(source: Source) -> Iterator[tuple[int, bytes]]:
    """Each user as User JSON, with the number of its line.

    | column, separated by bars | becomes |
    |---|---|
    | 1 user id | `user_id` |
    | 2 age | the attribute `age` |
    | 3 gender, `F` or `M` | the attribute `gender` |
    | 4 occupation | the attribute `occupation` |
    | 5 zip code | the attribute `zip_code` |
    """
    begun = False
    for number, line in source.lines():
        text = line.decode("iso-8859-1")
        parts = text.split("|")
        if len(parts) != 5:
            if not begun:
                raise source.wrong(text, "MovieLens' u.user: user, age, gender, occupation and zip code separated by |")
            source.bad.add(number, "not 5 columns", text)
            continue
        begun = True
        user, age, gender, occupation, zip_code = parts
        attributes: dict[str, Any] = {"age": int(age) if age.isascii() and age.isdigit() and len(age) < 18 else age}
        attributes |= {"gender": gender, "occupation": occupation, "zip_code": zip_code}
        yield number, msgspec.json.encode({"user_id": user, "attributes": attributes})


def _timed(source: Source) -> Iterator[tuple[int, int, dict[str, Any]]]:
    begun = False
    for number, line in source.lines():
        text = line.decode("utf-8", "surrogateescape")
        parts = text.split("\t")
        if len(parts) != 4:
            if not begun:
                raise source.wrong(text, "MovieLens' u.data: user, item, rating and timestamp separated by tabs")
            source.bad.add(number, "not 4 columns", text)
            continue
        begun = True
        user, item, rating, time = map(str.strip, parts)
        if not (time.isascii() and time.isdigit() and len(time) < 18):
            source.bad.add(number, "the time is not a whole number", text, given_in_words(time))
        elif not (rating.isascii() and rating.isdigit() and len(rating) < 18):
            source.bad.add(number, "the rating is not a whole number", text, given_in_words(rating))
        else:
            fields = {"user_id": user, "item_id": item, "rating": int(rating), "event_time": int(time)}
            yield int(time), number, {"event_type": "rating"} | fields
