/** The colour scale with dollar ticks, drawn once for each change of scale. */
import { usdTick } from "../state/format";
import { colour, shareOf, type Scale } from "../state/palette";
import { FONT, type Theme } from "./theme";

export const LEGEND = { width: 132, height: 26 } as const;

/** perBin: log-price width of the bins the dollars are for. */
export function drawLegend(c: CanvasRenderingContext2D, scale: Scale, theme: Theme): void {
  const { width, height } = LEGEND;
  c.clearRect(0, 0, width, height);
  const bar = width - 2;
  for (let x = 0; x < bar; x++) {
    c.fillStyle = `rgb(${colour(x / (bar - 1), theme.name === "light").join()})`;
    c.fillRect(1 + x, 0, 1, 9);
  }
  c.font = FONT;
  c.fillStyle = theme.text;
  c.textBaseline = "alphabetic";
  for (const usd of ticks(scale)) {
    const x = 1 + shareOf(scale, usd) * (bar - 1);
    c.fillRect(Math.round(x) - 0.5, 9, 1, 4);
    const text = usdTick(usd);
    const w = c.measureText(text).width;
    c.textAlign = "left";
    c.fillText(text, Math.min(Math.max(0, x - w / 2), width - w), height - 2);
  }
}

/** Three dollars: both ends and the middle. */
export function ticks(scale: Scale): number[] {
  if (scale.kind === "rank") return [0, 128, 255].map((i) => scale.ranks[i] ?? 0).filter((x) => x > 0);
  return [scale.low, Math.sqrt(scale.low * scale.high), scale.high];
}
