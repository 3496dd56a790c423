/**
 * The first picture, drawn from what the page carries before the app's script has come. Built apart and written
 * into the page (tools/precompress.mjs); the app takes over and draws the same.
 */
import { Heat2d } from "../render/heat2d";
import { drawOverlay } from "../render/overlay";
import { drawProfile } from "../render/profile";
import { applyTheme, canvas2d, DARK, fitCanvas, LIGHT } from "../render/theme";
import { atLeast, byDistance, interval } from "../state/clusters";
import { axisPrice, percent, price, usd } from "../state/format";
import { mapLayout, WIDE_PX } from "../state/layout";
import { binsNear, scaleFrom, table } from "../state/palette";
import { opening } from "../state/viewport";
import { planesOf } from "../wire/tile";
import type { ClusterRow } from "../wire/types";
import { carried, unpack } from "./first";
import { load } from "./kept";

/** The nearest clusters as words, where their list will stand. */
function list(rows: readonly ClusterRow[]): void {
  const row = (k: ClusterRow): HTMLElement => {
    const text = `${k.side === "long" ? "▼" : "▲"} ${axisPrice(k.low)}–${axisPrice(k.high)} · ${percent(k.distance, 1)} · ${usd(k.usd)}${interval(k)}`;
    return Object.assign(document.createElement("p"), { textContent: text });
  };
  document.querySelector(".boot .foot")?.replaceChildren(...byDistance(rows).slice(0, 3).map(row));
}

async function draw(): Promise<void> {
  const kept = load();
  const theme = kept.theme === "light" ? LIGHT : DARK;
  applyTheme(theme, document.documentElement);
  const first = carried();
  if (!first) return;
  const { market, hello } = first;
  const clusters = first.clusters && atLeast(first.clusters, kept.least[market.base] ?? 0);
  const title = document.querySelector(".boot header");
  const decimals = hello.markets.find((m) => m.base === market.base)?.priceDecimals ?? 2;
  title?.replaceChildren(...[market.base, price(market.price, decimals)].map((text) => Object.assign(document.createElement("b"), { textContent: text })));
  list(kept.panel === "map" || innerWidth >= WIDE_PX ? (clusters?.clusters ?? []) : []);
  const box = document.querySelector<HTMLElement>(".boot .map");
  const [heat, top] = box?.querySelectorAll("canvas") ?? [];
  if (!box || !heat || !top || (kept.panel !== "map" && innerWidth < WIDE_PX)) return;
  const picture = await unpack(first);
  if (!picture || !box.isConnected) return;
  const layout = mapLayout(box.clientWidth, box.clientHeight);
  const view = opening(market.atMs, 24, market.mark);
  const { tile, now } = picture;
  const scale = scaleFrom(now.usd, now.bins, kept.scale, null, binsNear(now, market.mark));
  fitCanvas(heat, layout.map.width, layout.map.height);
  const [ground, lines] = [heat.getContext("2d"), canvas2d(top, layout.box.width, layout.box.height)];
  if (!scale || !ground || !lines) return;
  const surface = new Heat2d(ground, heat);
  surface.put(tile);
  surface.palette(table(scale, tile.floorUsd, tile.topUsd, 1, theme.name === "light"));
  surface.draw(view, picture.candleS, 0, market.atMs, market.atMs);
  drawOverlay(lines, {
    view, layout, candles: picture.candles, candleMs: picture.candleS * 1000, mark: market.mark, tape: [],
    clusters, thin: [], asOf: 0, picked: null, outlook: market.outlook, cross: null, utc: kept.utc, theme,
  });
  drawProfile(lines, now, planesOf([true, true], [true, true, true]), view, layout, market.mark, theme);
  performance.mark("map");
}

/** The app may never come, the server being gone: the picture says so, and the page is loaded anew when somebody answers. */
function watch(): void {
  const anew = performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming | undefined;
  let lost = false;
  const tell = (why: string): void => {
    const boot = document.querySelector(".boot");
    if (!boot) return;
    const button = Object.assign(document.createElement("button"), { textContent: "load anew", onclick: () => location.reload() });
    const said = Object.assign(document.createElement("p"), { className: "lost", role: "alert", textContent: `${why} What you see is as old as the page.` });
    said.append(button);
    boot.querySelector(".lost")?.remove();
    boot.append(said);
  };
  addEventListener("error", (e) => {
    if (!(e.target instanceof HTMLScriptElement) || lost) return;
    lost = true;
    tell("The app did not come: the server does not answer. Trying again.");
    // A script that fails even after that is no matter of a moment.
    setInterval(async () => {
      const reply = await fetch(location.href, { method: "HEAD", cache: "no-store" }).catch(() => null);
      if (reply?.ok && document.querySelector(".boot")) location.reload();
    }, anew?.type === "reload" ? 15_000 : 2_000);
  }, true);
  setTimeout(() => { if (!lost) tell("The app has not come yet."); }, 30_000);
}

watch();
/** The app waits for it: a picture that is nearly there is not thrown away for one that comes later. */
export const drawn = draw().catch(() => undefined);
