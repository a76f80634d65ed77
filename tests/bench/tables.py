"""Numbers into text: one table a work, medians of the rounds, targets below."""

import statistics

import works


def medians(samples):
    """Return {key: median} of a list of samples with the same keys."""
    return {
        key: statistics.median(sample[key] for sample in samples) for key in samples[0]
    }


def judge(work, middle):
    """Return one dict a target of work; middle is {server: medians}.

    value is gowsgi's number, or its ratio to the peer's; it and met are None
    where one of the two was not measured.
    """
    return [_judge_one(target, middle) for target in work.targets]


def _judge_one(target, middle):
    value = None
    if "gowsgi" in middle and (not target.peer or target.peer in middle):
        value = middle["gowsgi"][target.key]
        if target.peer:
            value /= middle[target.peer][target.key]
    return {
        "key": target.key,
        "peer": target.peer or None,
        "bound": target.bound,
        "at_most": target.at_most,
        "value": value,
        "met": None if value is None else target.met(value),
    }


def text(work, samples, failures):
    """Return the table of a work: samples is {server: [sample]}."""
    middle = {name: medians(rows) for name, rows in samples.items()}
    lines = [work.title]
    if middle:
        lines += _align(_rows(work, samples, middle))
    lines += [f"  {name}: {why}" for name, why in failures.items()]
    lines += ["  " + _verdict(found) for found in judge(work, middle)]
    return "\n".join(lines) + "\n"


def _rows(work, samples, middle):
    keys = [key for key in works.COLUMNS if key in next(iter(middle.values()))]
    titles = {key: works.COLUMNS[key][0] for key in keys}
    rows = [["server", titles[work.main], "spread", "x uwsgi", "x gunicorn"]]
    rows[0] += [titles[key] for key in keys if key != work.main]
    for name, numbers in middle.items():
        row = [name, _number(work.main, numbers), _spread(samples[name], work.main)]
        row += [_times(middle, name, peer, work.main) for peer in ("uwsgi", "gunicorn")]
        row += [_number(key, numbers) for key in keys if key != work.main]
        rows.append(row)
    return rows


def _number(key, numbers):
    return works.COLUMNS[key][1].format(numbers[key])


def _spread(samples, key):
    """Return how far apart the rounds are: (most - least) / median."""
    if len(samples) < 2:
        return "-"
    values = [sample[key] for sample in samples]
    return f"{(max(values) - min(values)) / statistics.median(values):.0%}"


def _times(middle, name, peer, key):
    if peer not in middle:
        return "-"
    return f"{middle[name][key] / middle[peer][key]:.2f}"


def _align(rows):
    """Return the rows as lines: the first column to the left, numbers right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  "
        + row[0].ljust(widths[0])
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:]))
        for row in rows
    ]


def _verdict(found):
    title = works.COLUMNS[found["key"]][0]
    sign = "<=" if found["at_most"] else ">="
    want = f"{sign} {found['bound']:g}"
    if found["peer"]:
        want += f" x {found['peer']}"
    line = f"target {title} {want}: "
    if found["value"] is None:
        return line + "not measured"
    return line + f"{found['value']:.2f}, " + ("met" if found["met"] else "MISSED")
