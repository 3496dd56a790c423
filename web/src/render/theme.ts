/** Colours that canvases need; the page's own come from style.css. */
export interface Theme {
  readonly ground: string;
  readonly text: string;
  readonly dim: string;
  readonly grid: string;
  readonly up: string;
  readonly down: string;
  readonly mark: string;
  readonly bid: string;
  readonly ask: string;
  readonly bidFill: string;
  readonly askFill: string;
  readonly box: string;
  readonly edge: string;
}

export const DARK: Theme = {
  ground: "#06080d",
  text: "#e4e8f0",
  dim: "#8a93a6",
  grid: "rgba(160,175,205,0.10)",
  up: "#eef2fa",
  down: "#7fa2ea",
  mark: "rgba(238,242,250,0.75)",
  bid: "#5fd4ae",
  ask: "#f4917f",
  bidFill: "rgba(47,160,128,0.42)",
  askFill: "rgba(205,92,76,0.42)",
  box: "rgba(11,15,24,0.86)",
  edge: "rgba(150,165,195,0.28)",
};

export const FONT = "11px ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
export const BOLD = "600 11px ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** Match a canvas to its box; true when it changed. */
export function fitCanvas(canvas: HTMLCanvasElement, width: number, height: number, dpr: number): boolean {
  const w = Math.max(1, Math.round(width * dpr));
  const h = Math.max(1, Math.round(height * dpr));
  if (canvas.width === w && canvas.height === h) return false;
  canvas.width = w;
  canvas.height = h;
  return true;
}
