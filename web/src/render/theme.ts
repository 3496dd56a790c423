/** Every colour of the page: canvases take them from here, style.css as custom properties of the same names. */
export interface Theme {
  readonly name: "dark" | "light";
  readonly ground: string;
  readonly panel: string;
  readonly chip: string;
  readonly on: string;
  readonly edge: string;
  readonly text: string;
  readonly dim: string;
  readonly accent: string;
  readonly grid: string;
  readonly box: string;
  readonly shade: string;
  /** candles */
  readonly up: string;
  readonly down: string;
  readonly mark: string;
  /** buyers and sellers */
  readonly bid: string;
  readonly ask: string;
  readonly bidFill: string;
  readonly askFill: string;
  /** position sides: blue and orange, apart for any colour vision; words and arrows go with them */
  readonly long: string;
  readonly short: string;
  readonly longFill: string;
  readonly shortFill: string;
  /** leverage bands low, mid, high: ordered by lightness */
  readonly bands: readonly [string, string, string];
}

export const DARK: Theme = {
  name: "dark",
  ground: "#06080d",
  panel: "#0c111b",
  chip: "#151c2a",
  on: "#2b3c63",
  edge: "#202a3c",
  text: "#e8ecf4",
  dim: "#939db1",
  accent: "#f5c04a",
  grid: "rgba(160,175,205,0.10)",
  box: "rgba(10,14,23,0.88)",
  shade: "rgba(150,170,210,0.09)",
  up: "#f1f4fb",
  down: "#7fa2ea",
  mark: "rgba(238,242,250,0.8)",
  bid: "#5fd4ae",
  ask: "#f4917f",
  bidFill: "rgba(47,160,128,0.40)",
  askFill: "rgba(205,92,76,0.40)",
  long: "#78b4ff",
  short: "#ffa05e",
  longFill: "rgba(90,150,235,0.75)",
  shortFill: "rgba(240,140,70,0.75)",
  bands: ["#5a6a8c", "#b45aa5", "#f3dc86"],
};

export const LIGHT: Theme = {
  name: "light",
  ground: "#fbfcfe",
  panel: "#ffffff",
  chip: "#e9edf4",
  on: "#c6d5f2",
  edge: "#d5dbe6",
  text: "#131926",
  dim: "#566176",
  accent: "#8a5a00",
  grid: "rgba(60,75,105,0.12)",
  box: "rgba(255,255,255,0.92)",
  shade: "rgba(70,90,130,0.09)",
  up: "#10131a",
  down: "#2d5fd0",
  mark: "rgba(20,26,38,0.8)",
  bid: "#0a7357",
  ask: "#b13a27",
  bidFill: "rgba(47,160,128,0.28)",
  askFill: "rgba(214,92,76,0.26)",
  long: "#1660c4",
  short: "#b04f00",
  longFill: "rgba(50,120,220,0.60)",
  shortFill: "rgba(226,118,40,0.65)",
  bands: ["#b9c3d6", "#a85a9c", "#5b2a6b"],
};

export function applyTheme(theme: Theme, root: HTMLElement): void {
  root.dataset["theme"] = theme.name;
  for (const [name, value] of Object.entries(theme)) if (typeof value === "string") root.style.setProperty(`--${name}`, value);
  theme.bands.forEach((value, i) => root.style.setProperty(`--band${i}`, value));
}

// A canvas cannot ask for tabular figures: these have them by default, and Apple's system face has not.
const FACE = "'Segoe UI', Roboto, 'Helvetica Neue', system-ui, sans-serif";
export const FONT = `11px ${FACE}`;
export const BOLD = `600 11px ${FACE}`;
export const BODY = `12px ${FACE}`;
export const BODY_BOLD = `600 12px ${FACE}`;
export const TITLE = `600 15px ${FACE}`;

/** Size a canvas and its backing store; its context is scaled to CSS pixels. null: no 2D. */
export function canvas2d(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const dpr = fitCanvas(canvas, width, height);
  const c = canvas.getContext("2d");
  c?.setTransform(dpr, 0, 0, dpr, 0, 0);
  return c;
}

export function fitCanvas(canvas: HTMLCanvasElement, width: number, height: number): number {
  const dpr = Math.min(3, devicePixelRatio);
  const w = Math.max(1, Math.round(width * dpr));
  const h = Math.max(1, Math.round(height * dpr));
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  return dpr;
}
