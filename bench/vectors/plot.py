"""Recall against queries per second, as an SVG of lines."""
import math

COLOURS = ["#c2410c", "#f59e0b", "#1d4ed8", "#047857", "#7c3aed", "#475569"]
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 460, 70, 30, 20, 50


def plot(result, path):
    labels = list(dict.fromkeys(p["index"] for p in result["points"]))
    shown = [p for p in result["points"] if p["recall"] >= 0.7]
    low = 10 ** math.floor(math.log10(min(p["qps"] for p in shown)))
    high = 10 ** math.ceil(math.log10(max(p["qps"] for p in shown)))

    def x(recall):  # equal room for each halving of what is missed
        far = -math.log2(1 - min(recall, 0.999))
        first, last = -math.log2(0.3), -math.log2(0.001)
        return LEFT + (far - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(qps):
        share = math.log(qps / low) / math.log(high / low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="18" font-size="14">{result["data"]}: {result["rows"]:,} x '
           f'{result["dim"]}, one thread: queries per CPU second by recall@10</text>']
    for recall in (0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999):
        out.append(f'<line x1="{x(recall):.1f}" x2="{x(recall):.1f}" y1="{TOP}" '
                   f'y2="{HEIGHT - BOTTOM}" stroke="#e5e7eb"/><text x="{x(recall):.1f}" '
                   f'y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{recall}</text>')
    step = low
    while step <= high:
        for times in (1, 2, 5):
            if step * times <= high:
                out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(step * times):.1f}" '
                           f'y2="{y(step * times):.1f}" stroke="#e5e7eb"/><text x="{LEFT - 8}" '
                           f'y="{y(step * times) + 4:.1f}" text-anchor="end">'
                           f'{step * times:,}</text>')
        step *= 10
    for i, label in enumerate(labels):
        points = sorted((p["recall"], p["qps"]) for p in shown if p["index"] == label)
        colour = COLOURS[i % len(COLOURS)]
        line = " ".join(f"{x(r):.1f},{y(q):.1f}" for r, q in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{x(r):.1f}" cy="{y(q):.1f}" r="3" fill="{colour}"/>'
                for r, q in points]
        out.append(f'<rect x="{LEFT + 12}" y="{HEIGHT - BOTTOM - 20 - 18 * i}" width="12" '
                   f'height="12" fill="{colour}"/><text x="{LEFT + 30}" '
                   f'y="{HEIGHT - BOTTOM - 10 - 18 * i}">{label}</text>')
    out.append("</svg>")
    with open(path, "w") as file:
        file.write("\n".join(out) + "\n")
