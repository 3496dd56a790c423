/** The same picture without a GPU: tiles become small images, the canvas scales them. */
import type { Viewport } from "../state/viewport";
import type { PlacedTile } from "../worker/protocol";
import { HeatGl, keyOf, quad, quads, TileStore, type HeatSurface, type Quad } from "./heat";

export class Heat2d implements HeatSurface {
  readonly kind = "2d";
  private store = new TileStore();
  private images = new Map<string, HTMLCanvasElement>();
  private newest: PlacedTile | null = null;
  private colours: Uint8Array<ArrayBufferLike> = new Uint8Array(1024);

  constructor(
    private readonly context: CanvasRenderingContext2D,
    private readonly canvas: HTMLCanvasElement,
  ) {}

  get tiles(): number {
    return this.store.map.size;
  }

  put(tile: PlacedTile): void {
    this.images.delete(this.store.put(tile, (gone) => this.images.delete(gone)));
  }

  live(tile: PlacedTile): void {
    this.newest = tile;
    this.images.delete("live");
  }

  forget(): void {
    this.images.clear();
    this.store.map.clear();
    this.newest = null;
  }

  palette(rgba: Uint8Array): void {
    this.colours = rgba;
    this.images.clear();
  }

  draw(v: Viewport, columnS: number, level: number, liveFromMs: number, liveToMs: number): boolean {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.context.imageSmoothingEnabled = false;
    for (const q of quads(this.store.map.values(), v, columnS, level)) this.one(q, keyOf(q.tile));
    if (this.newest) this.one(quad(this.newest, v, liveFromMs, liveToMs), "live");
    return true;
  }

  private one(q: Quad, key: string): void {
    const { width, height } = this.canvas;
    const image = this.image(key, q.tile);
    this.context.drawImage(image, q.x0 * width, q.y0 * height, (q.x1 - q.x0) * width, (q.y1 - q.y0) * height);
  }

  private image(key: string, tile: PlacedTile): HTMLCanvasElement {
    const held = this.images.get(key);
    if (held) return held;
    const image = document.createElement("canvas");
    image.width = tile.columns;
    image.height = tile.bins;
    const data = new ImageData(tile.columns, tile.bins);
    for (let c = 0; c < tile.columns; c++) {
      for (let b = 0; b < tile.bins; b++) {
        const v = tile.cells[c * tile.bins + b] ?? 0;
        data.data.set(this.colours.subarray(v * 4, v * 4 + 4), ((tile.bins - 1 - b) * tile.columns + c) * 4);
      }
    }
    image.getContext("2d")?.putImageData(data, 0, 0);
    this.images.set(key, image);
    return image;
  }
}

/** WebGL2 where it works, else 2D; `kind` says which, and so does the page. */
export function heatSurface(canvas: HTMLCanvasElement, force2d: boolean): HeatSurface {
  const gl = force2d ? null : canvas.getContext("webgl2", { alpha: true, antialias: false, preserveDrawingBuffer: true });
  if (gl) return new HeatGl(gl, canvas);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser draws neither WebGL2 nor 2D");
  return new Heat2d(context, canvas);
}
