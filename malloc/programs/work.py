"""What a program in Python does all day: texts, numbers, threads, processes, a database."""
import json
import re
import sqlite3
import subprocess
import sys
import threading
import zlib


def texts():
    words = [f"word{i * 7919 % 10007}" for i in range(30000)]
    text = " ".join(words)
    found = re.findall(r"word(\d{3,4})5\b", text)
    tree = {word: {"length": len(word), "of": words[i:i + 3]} for i, word in enumerate(words[:5000])}
    again = json.loads(json.dumps(tree))
    print(len(found), found[:3], again == tree, zlib.crc32(json.dumps(tree, sort_keys=True).encode()))


def numbers():
    rows = [[(i * j) % 17 for j in range(200)] for i in range(200)]
    columns = list(zip(*rows))
    print(sum(sum(a * b for a, b in zip(rows[i], columns[i])) for i in range(200)), 7 ** 5000 % 10 ** 20)
    data = bytearray()
    for i in range(2000):
        data += bytes([i % 251]) * (i % 997)
    print(len(data), zlib.crc32(data), len(zlib.compress(bytes(data))))


def database():
    base = sqlite3.connect(":memory:")
    base.execute("create table t(id integer primary key, name text, size real)")
    base.executemany("insert into t values(?, ?, ?)", ((i, f"n{i % 100}", i / 3) for i in range(20000)))
    base.execute("create index by_name on t(name)")
    print(base.execute("select name, count(*), round(sum(size), 3) from t group by name order by 3 desc limit 3").fetchall())


def threads():
    results = {}

    def work(number):
        parts = [str(i * number) for i in range(5000)]
        results[number] = zlib.crc32("".join(parts).encode())

    for _ in range(10):
        running = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    print([results[n] for n in sorted(results)])


def processes():
    print([subprocess.run([sys.executable, "-S", "-c", f"print({n} ** 2)"], capture_output=True, check=True).stdout
           for n in range(5)])


for step in (texts, numbers, database, threads, processes):
    step()
