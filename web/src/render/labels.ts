/** Clusters on the map: a bracket over their price range and a name in dollars with the path's badge. */
import { noneOf, outOfView, pathSaid, significant, spread } from "../state/clusters";
import { percent, usd } from "../state/format";
import { yOf } from "../state/viewport";
import type { ClusterRow, PathRow } from "../wire/types";
import type { OverlayState } from "./overlay";
import { BOLD, FONT, type Theme } from "./theme";

const HEIGHT = 22;

export function pathColour(path: PathRow, theme: Theme): string {
  return path.pathClass === "defended" ? theme.bid : path.pathClass === "hollow" ? theme.accent : theme.dim;
}

export function drawClusterLabels(c: CanvasRenderingContext2D, s: OverlayState): void {
  const { map } = s.layout;
  if (!s.clusters) return;
  const [low, high] = [Math.exp(s.view.y0), Math.exp(s.view.y1)];
  for (const k of s.clusters.clusters) bracket(c, s, k);
  for (const side of ["long", "short"] as const) {
    const text = noneOf(s.clusters, side) ?? outOfView(s.clusters, side, low, high);
    if (text) note(c, s, side, text);
  }
  const named = significant(s.clusters.clusters, low, high).slice(0, map.width > 320 ? 6 : 4);
  // The mark is where the candles are: names give way to it.
  const mark = yOf(s.view, map, s.mark);
  const wanted = named.map((k) => {
    const y = yOf(s.view, map, k.peak);
    return Math.abs(y - mark) < HEIGHT ? mark + (y < mark ? -HEIGHT : HEIGHT) : y;
  });
  const heights = spread(wanted, HEIGHT + 3, HEIGHT / 2 + 2, map.height - HEIGHT / 2 - 24);
  named.forEach((k, i) => {
    const y = heights[i];
    if (y !== null && y !== undefined) label(c, s, k, y);
  });
}

function bracket(c: CanvasRenderingContext2D, s: OverlayState, k: ClusterRow): void {
  const { map } = s.layout;
  const top = Math.max(0, yOf(s.view, map, k.high));
  const bottom = Math.min(map.height, yOf(s.view, map, k.low));
  if (bottom - top < 1) return;
  c.fillStyle = k.side === "long" ? s.theme.long : s.theme.short;
  c.fillRect(map.width - 3, top, 3, bottom - top);
}

/** What a side says that has no name in view: at its end of the map, without a box's weight. */
function note(c: CanvasRenderingContext2D, s: OverlayState, side: "long" | "short", text: string): void {
  const { map } = s.layout;
  const y = side === "long" ? map.height - 34 : 13;
  c.font = FONT;
  const words = `${side === "long" ? "▼" : "▲"} ${text}`;
  const w = c.measureText(words).width;
  c.fillStyle = s.theme.box;
  c.beginPath();
  c.roundRect(map.width - w - 20, y - 9, w + 12, 18, 5);
  c.fill();
  c.fillStyle = s.theme.dim;
  c.textAlign = "left";
  c.textBaseline = "middle";
  c.fillText(words, map.width - w - 14, y + 0.5);
}

function label(c: CanvasRenderingContext2D, s: OverlayState, k: ClusterRow, y: number): void {
  const { theme, layout: { map } } = s;
  const parts: [string, string, string][] = [
    [`${k.side === "long" ? "▼" : "▲"} ${usd(k.usd)} ${k.side}`, BOLD, theme.text],
    [` · ${percent(k.distance, 1)}`, FONT, theme.dim],
  ];
  const right = map.width - 12;
  const wide = (text: string, font: string): number => { c.font = font; return c.measureText(text).width; };
  const widths = parts.map(([text, font]) => wide(text, font));
  const taken = widths.reduce((a, b) => a + b, 18);
  const said = k.path ? pathSaid(k.path) : [];
  const more = [...said, ...(!said.length && k.stacked && map.width > 320 ? ["stacked"] : [])].map((text) => ` · ${text}`);
  const fits = more.find((text) => taken + wide(text, FONT) <= right);
  if (fits) {
    parts.push([fits, FONT, k.path && said.length ? pathColour(k.path, theme) : theme.dim]);
    widths.push(wide(fits, FONT));
  } else if (taken > right) {
    // Where even the distance has no room, dollars and side stay; the axis tells how far.
    parts.pop();
    widths.pop();
  }
  const w = widths.reduce((a, b) => a + b, 14);
  const x = Math.max(4, right - w);
  const peak = yOf(s.view, map, k.peak);
  c.strokeStyle = k.side === "long" ? theme.long : theme.short;
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(right, y);
  c.lineTo(map.width - 3, peak);
  c.stroke();
  c.fillStyle = theme.box;
  c.beginPath();
  c.roundRect(x, y - HEIGHT / 2, w, HEIGHT, 6);
  c.fill();
  c.strokeStyle = theme.edge;
  c.stroke();
  c.fillStyle = k.side === "long" ? theme.long : theme.short;
  c.fillRect(x, y - HEIGHT / 2 + 4, 2.5, HEIGHT - 8);
  c.textAlign = "left";
  c.textBaseline = "middle";
  let at = x + 8;
  parts.forEach(([text, font, ink], i) => {
    c.font = font;
    c.fillStyle = ink;
    c.fillText(text, at, y + 0.5);
    at += widths[i] ?? 0;
  });
}
