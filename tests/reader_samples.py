"""A little of each publisher's file, good lines and bad ones, and how tests read it."""

import json
from pathlib import Path
from typing import Any

from recsys.events import Event
from recsys.readers import Reader

NOW_MS = 1_800_000_000_000

ONLINE_RETAIL = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART,6,2010-12-01T08:26:00,2.55,17850,United Kingdom
536365,84406b,"COAT ""CUPID"", SMALL",8,2010-12-01T08:26:00,2.75,17850,United Kingdom
536366,22633,HAND WARMER,x,2010-12-01T08:28:00,1.85,17850,United Kingdom
536370,POST,POSTAGE,3,2010-12-01T08:45:00,18,12583,France
536414,22139,,56,2010-12-01T11:52:00,0,,United Kingdom
536415,22139,SAMPLE,56,2010-12-01T11:52:00,0,12583,France
C536391,22556,PLASTERS,-12,2010-12-01T10:24:00,1.65,17548,United Kingdom
C536392,22556,PLASTERS,12,2010-12-01T10:24:00,1.65,17548,United Kingdom
536393,22556,PLASTERS,0,2010-12-01T10:24:00,1.65,17548,United Kingdom
536394,22556,PLASTERS,1,yesterday,1.65,17548,United Kingdom
536395,22556,PLASTERS,1
A563185,B,Adjust bad debt,1,2011-08-12T14:50:00,-11062.06,,United Kingdom
536365,71053,METAL LANTERN,1,2010-12-01T08:26:00,3.39,17850,United Kingdom
"""
REES46 = """\
event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session
2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d76fde
2019-10-01 00:00:01 UTC,cart,3900821,2053013552326770905,appliances,aqua,33.20,554748717,9333dfbd
2019-10-01 00:00:02 UTC,purchase,3900821,2053013552326770905,appliances,aqua,33.20,554748717,
2019-10-01 00:00:03 UTC,remove_from_cart,3900821,2053013552326770905,appliances,aqua,,554748717,9333dfbd
2019-10-01 00:00:04 UTC,gaze,3900821,2053013552326770905,appliances,aqua,33.20,554748717,9333dfbd
2019-10-01 00:00:05,view,3900821,2053013552326770905,appliances,aqua,33.20,554748717,9333dfbd
2019-10-01 00:00:06 UTC,view,3900821,2053013552326770905,appliances,aqua,-33.20,554748717,9333dfbd
2019-10-01 00:00:07 UTC,view,3900821,2053013552326770905,appliances,aqua,cheap,554748717,9333dfbd
2019-10-01 00:00:08 UTC,view,3900821
"""
ORIGINAL_RETAILROCKET = """\
timestamp,visitorid,event,itemid,transactionid
1433221332117,257597,view,355908,
1433221078505,158090,addtocart,10572,
1433222276276,599528,transaction,356475,4000
1433221332117,257597,gaze,355908,
soon,257597,view,355908,
"""
CLICKS_RETAILROCKET = "session\titem\tepoch_s\n7\t19887\t1441935373\n7\t29113\t1441935367\n8\t1\t1441935000\n8\t1\n"
OTTO = """\
{"session":0,"events":[{"aid":1517085,"ts":1659304800025,"type":"clicks"},{"aid":4,"ts":1659304900000,"type":"carts"}]}
{"session":1,"events":[{"aid":9,"ts":1659304800025,"type":"orders"},{"aid":9,"ts":1659304800026,"type":"gazes"}]}
{"session":2,"events":
"""
MOVIELENS = "196\t242\t3 \t881250949\n186\t302\t5\t881250000\n22\t377\t9\t878887116\n22\t377\tgood\t878887116\n22\t377\n"
SESSIONS = "session\titems\n0\t1 2 1\n1\t3\n2\t\nno tab\n3\t4 4\n"
JSONL = """\
{"event_type": "view", "user_id": 7, "item_id": "i1", "event_time": "2026-11-23T10:00:00Z", "properties": {"a":  [1.0]}}
{"event_type": "view", "user_id": 7}

not JSON
{"event_type":"click","anonymous_id":"a","item_id":"i2"}
"""
YOOCHOOSE = """\
2,2014-04-07T13:56:37.614Z,214662742,0
1,2014-04-07T10:51:09.277Z,214536502,S
1,2014-04-07T10:54:09.868Z,214536500,0
1,yesterday,214536500,0
1,2014-13-07T10:54:09.868Z,214536500,0
3,2014-04-07T13:56:37.614Z,214662742
"""
SAMPLES = {
    "jsonl": JSONL,
    "retailrocket": ORIGINAL_RETAILROCKET,
    "yoochoose": YOOCHOOSE,
    "rees46": REES46,
    "online-retail": ONLINE_RETAIL,
    "online-retail-lines": ONLINE_RETAIL,
    "otto": OTTO,
    "movielens": MOVIELENS,
    "sessions": SESSIONS,
}


def file_of(folder: Path, content: str | bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def values(reader: Reader) -> list[dict[str, Any]]:
    with reader:
        return [json.loads(record.value) for record in reader]


def events(reader: Reader) -> list[Event]:
    with reader:
        return [record.event for record in reader]
